import type { Endpoint, Host, Log, MetricFamily } from '@argyle/host';
import type { SharedCache } from '@argyle/replica';
import { AssociationCounters } from './association-counters.ts';
import { AssociationRequests } from './association-requests.ts';
import { AssociationStore } from './association-store.ts';
import { ConventionalAssociations } from './conventional-associations.ts';
import { gauge } from './counter.ts';
import type { Logins } from './logins.ts';
import type { UdpOptions } from './options.ts';
import type { ProtectedEndpoints } from './protected-endpoints.ts';
import type { RuleBook } from './rule-book.ts';
import { SecureAssociations } from './secure-associations.ts';
import { UdpCounters } from './udp-counters.ts';
import { UdpFront } from './udp-front.ts';
import { UdpRelays } from './udp-relays.ts';
import type { Users } from './users.ts';

export interface NodeUdpContext {
  readonly host: Host;
  readonly log: Log;
  readonly name: string;
  readonly cache: SharedCache;
  readonly logins: Logins;
  readonly users: Users;
  readonly rules: RuleBook;
  readonly protectedEndpoints: ProtectedEndpoints;
  readonly options: UdpOptions;
  /** As for sessions. */
  readonly holdMs: number;
  readonly lookUpMs: number;
}

/** All of a node's UDP: its port, associations of both kinds, and their ways to targets. */
export class NodeUdp {
  readonly store: AssociationStore;
  readonly secure: SecureAssociations;
  readonly requests: AssociationRequests;
  readonly conventional: ConventionalAssociations;
  readonly #front: UdpFront;
  readonly #relays: UdpRelays;
  readonly #counters = { udp: new UdpCounters(), associations: new AssociationCounters() };

  constructor(context: NodeUdpContext) {
    const { host, options, name, log, users } = context;
    const { udp, associations: counters } = this.#counters;
    const send = (bytes: Uint8Array, to: Endpoint) => this.#front.send(bytes, to);
    this.#front = new UdpFront(udp, {
      secure: (bytes, from) => this.secure.handleDatagram(bytes, from),
      conventional: (bytes, from) => this.conventional.handleDatagram(bytes, from),
    });
    this.#relays = new UdpRelays(host, { ...context, ...options, counters: udp });
    this.store = new AssociationStore(context);
    const { graceMs, datagramBytes } = options;
    this.secure = new SecureAssociations({
      ...{ host, log, name, users, store: this.store, relays: this.#relays, counters, send },
      ...{ graceMs, datagramBytes },
    });
    this.requests = new AssociationRequests({
      ...{ host, options, counters, store: this.store, relays: this.#relays },
      associations: this.secure,
    });
    this.conventional = new ConventionalAssociations({
      ...{ host, log, options, send, relays: this.#relays, counters: udp },
    });
  }

  /** At the endpoint where TCP listens. Rejects with the system's error. */
  async listen(endpoint: Endpoint): Promise<void> {
    this.conventional.listening(endpoint.port);
    await this.#front.listen(endpoint);
  }

  close(): void {
    this.requests.close();
    this.secure.close();
    this.#relays.close();
    this.#front.close();
  }

  metrics(): readonly MetricFamily[] {
    const { udp, associations } = this.#counters;
    const drops = this.#front.kernelDrops;
    return [
      ...udp.families(),
      ...associations.families(this.secure.machine, this.secure.controls),
      {
        name: 'udp_kernel_drops_total',
        help: 'Datagrams at the UDP port that the system threw away because nobody read them in time.',
        type: 'counter',
        values: drops === undefined ? [] : [{ labels: {}, value: drops }],
      },
      gauge('udp_conventional', 'Conventional associations.', this.conventional.size),
      gauge('udp_relays', 'Associations with a way to targets here.', this.#relays.size),
    ];
  }
}
