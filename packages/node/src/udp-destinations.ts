import { formatAddress, type Endpoint, type Host, type Network } from '@argyle/host';
import { findAddresses, type Lookup } from './destination.ts';
import type { ProtectedEndpoints } from './protected-endpoints.ts';
import type { RuleBook } from './rule-book.ts';

export interface UdpDestinationsOptions {
  readonly rules: RuleBook;
  readonly protectedEndpoints: ProtectedEndpoints;
  /** For a name. */
  readonly lookUpMs: number;
  /** The system's, unless a test brings its own. */
  readonly lookup?: Lookup | undefined;
}

export interface UdpDestination {
  readonly user: string | undefined;
  readonly groups: readonly string[];
  /** An address or a name, as the client sent it. */
  readonly host: string;
  readonly port: number;
  /** Ends the look-up. */
  readonly signal: AbortSignal;
}

/** `port`: 0, which means nothing. `rule`: it is not allowed. `name`: it has no address. */
export type Judgement = Endpoint | 'port' | 'rule' | 'name';

/** Where datagrams may go. What is judged is where they are sent. */
export class UdpDestinations {
  readonly #host: Host;
  readonly #options: UdpDestinationsOptions;

  constructor(host: Host, options: UdpDestinationsOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Of several addresses, the first that is allowed. Never rejects. */
  async judge(wanted: UdpDestination): Promise<Judgement> {
    if (wanted.port === 0) return 'port';
    const bound = new AbortController();
    const cancel = this.#host.after(this.#options.lookUpMs, () => bound.abort());
    const found = await findAddresses(wanted.host, {
      allows: (name, address) => this.#allows(wanted, name, address),
      signal: AbortSignal.any([wanted.signal, bound.signal]),
      lookup: this.#options.lookup,
    });
    cancel();
    if (typeof found === 'string') return found === 'not-allowed' ? 'rule' : 'name';
    const [address] = found;
    return address ? { address: formatAddress(address), port: wanted.port } : 'name';
  }

  #allows(wanted: UdpDestination, name: string | undefined, address: Network): boolean {
    const { rules, protectedEndpoints } = this.#options;
    const { user, groups, port } = wanted;
    if (protectedEndpoints.protects(address, port)) return false;
    return rules.allows({ command: 'udp', user, groups, name, address, port });
  }
}
