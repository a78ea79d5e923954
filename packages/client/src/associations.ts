import type { Host, Log } from '@argyle/host';
import type { UdpRequest } from '@argyle/secure-udp';
import { Association, type AssociationContext, type AssociationHandlers } from './association.ts';
import type { Cluster } from './cluster.ts';
import type { Reply } from './socks-dialogue.ts';
import { RecordTotals, UdpCounters } from './udp-counters.ts';
import type { UdpOptions } from './udp-options.ts';

export interface AssociationsStatus {
  readonly open: number;
  /** Those that go over the TLS connection. */
  readonly overTls: number;
  /** Whether the last that was seen of UDP to the nodes is that it is blocked. */
  readonly blocked: boolean;
  /** By the node's address and port. */
  readonly nodes: ReadonlyMap<string, { readonly used: number; readonly standby: number }>;
  readonly counters: UdpCounters;
  readonly records: RecordTotals;
}

/** All associations of a client: no more than the limit, each told where nodes are. */
export class Associations {
  readonly counters = new UdpCounters();
  readonly #context: AssociationContext;
  readonly #open = new Set<Association>();
  readonly #ending = new Set<Promise<void>>();
  #opening = 0;
  #blocked = false;

  constructor(
    { host, log, cluster }: { host: Host; log: Log; cluster: Cluster },
    options: UdpOptions,
    { requestMs }: { readonly requestMs: number },
  ) {
    this.#context = {
      host,
      log,
      cluster,
      options,
      requestMs,
      counters: this.counters,
      nodes: () => cluster.datagramNodes,
      blocked: () => this.#blocked,
      reach: (reachable) => this.#reach(reachable),
    };
    cluster.watchDatagramNodes(() => {
      for (const association of this.#open) association.nodesChanged();
    });
  }

  /** As `Association.open`; `excess` when there are too many. */
  async open(
    request: UdpRequest,
    signal: AbortSignal,
    handlers: AssociationHandlers,
  ): Promise<Association | Reply | 'excess'> {
    if (this.#open.size + this.#opening >= this.#context.options.associations) {
      this.counters.refuse('excess');
      return 'excess';
    }
    this.#opening += 1;
    try {
      const opened = await Association.open(this.#context, request, signal, {
        payload: handlers.payload,
        over: (reason) => {
          if (opened instanceof Association) this.#open.delete(opened);
          handlers.over(reason);
        },
      });
      if (opened instanceof Association) this.#open.add(opened);
      return opened;
    } finally {
      this.#opening -= 1;
    }
  }

  /** Ends one, at the nodes too. */
  async end(association: Association): Promise<void> {
    this.#open.delete(association);
    const ending = association.end();
    this.#ending.add(ending);
    await ending;
    this.#ending.delete(ending);
  }

  /** Ends what is left; to be called when nobody opens any more. */
  async stop(): Promise<void> {
    for (const association of [...this.#open]) void this.end(association);
    await Promise.all(this.#ending);
  }

  get status(): AssociationsStatus {
    const nodes = new Map<string, { used: number; standby: number }>();
    const records = new RecordTotals();
    records.add(this.counters.past);
    let overTls = 0;
    const at = (name: string) => {
      const known = nodes.get(name) ?? { used: 0, standby: 0 };
      nodes.set(name, known);
      return known;
    };
    for (const association of this.#open) {
      const { node, way, standbys } = association.status;
      if (way === 'tls') overTls += 1;
      else if (node !== undefined) at(node).used += 1;
      for (const standby of standbys) at(standby).standby += 1;
      association.addTo(records);
    }
    const { counters } = this;
    return { open: this.#open.size, overTls, blocked: this.#blocked, nodes, counters, records };
  }

  #reach(reachable: boolean): void {
    if (this.#blocked === !reachable) return;
    this.#blocked = !reachable;
    const { log, options } = this.#context;
    if (reachable) log.warn({ event: 'udp-reached' }, 'nodes answer over UDP again');
    else {
      const instead = options.fallback
        ? 'datagrams go over the TLS connection meanwhile'
        : 'datagrams are lost meanwhile: `udp.fallback` is off';
      log.warn({ event: 'udp-blocked' }, `no node answers over UDP: is it blocked? ${instead}`);
    }
  }
}
