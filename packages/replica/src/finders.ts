import { type Endpoint, type Host, type Log, parseAddress, type Resolve } from '@argyle/host';
import { SystemResolver } from '@argyle/host/system-resolver';
import { Discovery } from '@argyle/multicast/discovery';
import { NameDiscovery } from '@argyle/multicast/name-discovery';

/** A member that was found is greeted for so long; each answer renews it. */
const GREETING_MS = 30_000;

export interface FindersOptions {
  readonly host: Host;
  readonly log: Log;
  readonly name: string;
  readonly clusterId: Uint8Array;
  /** Find members by multicast DNS. */
  readonly mdns: boolean;
  /** Of these only the names are asked for. */
  readonly members: readonly Endpoint[];
  readonly resolve?: Resolve | undefined;
  /** A member may be there, so long. */
  readonly greet: (endpoint: Endpoint, durationMs: number) => void;
}

/** Questions without an answer, by who was asked. */
export type FinderFailures = Readonly<Record<'dns' | 'mdns', number>>;

/** Whatever finds members of the group besides their heartbeats. That one fails ends nothing. */
export class Finders {
  readonly #options: FindersOptions;
  #multicast: Discovery | undefined;
  #names: NameDiscovery | undefined;

  constructor(options: FindersOptions) {
    this.#options = options;
  }

  get failures(): FinderFailures {
    return { dns: this.#names?.failures ?? 0, mdns: this.#multicast?.failures ?? 0 };
  }

  /** `own`: where this member is. */
  start(own: Endpoint): void {
    const { host, log, name, clusterId, mdns, members } = this.#options;
    const found = (endpoint: Endpoint) => this.#options.greet(endpoint, GREETING_MS);
    const names = members.filter((member) => !isAddress(member));
    if (names.length > 0) {
      this.#names = new NameDiscovery({
        ...{ host, names, found, resolve: this.#options.resolve ?? new SystemResolver().resolve },
        failed: (member, { message }) =>
          log.warn({ member, error: message }, 'the name of members has no answer'),
      });
    }
    if (mdns) {
      this.#multicast = new Discovery({
        ...{ host, name, own, found, clusterId: Buffer.from(clusterId).toString('hex') },
        failed: (error) => log.warn({ error: error.message }, 'multicast DNS does not work'),
      });
    }
  }

  close(closed: () => void): void {
    this.#names?.close();
    const multicast = this.#multicast;
    this.#multicast = undefined;
    if (multicast) multicast.close(closed);
    else closed();
  }
}

export function isAddress({ address }: Endpoint): boolean {
  return parseAddress(address) !== undefined;
}
