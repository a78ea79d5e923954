import type { Cancel, Host, Log } from '@argyle/host';
import {
  ClientAssociation,
  detectRecord,
  type ClientEvent,
  type UdpRequest,
} from '@argyle/secure-udp';
import type { Cluster } from './cluster.ts';
import { CONTROL_PAYLOAD_BYTES_MAX } from './control.ts';
import { ControlLink, type LinkEnd } from './control-link.ts';
import type { DatagramNode } from './datagram-nodes.ts';
import { NodeSockets } from './node-sockets.ts';
import type { Reply } from './socks-dialogue.ts';
import type { RecordTotals, UdpCounters } from './udp-counters.ts';
import type { UdpOptions } from './udp-options.ts';

/** What all associations of a client share. */
export interface AssociationContext {
  readonly host: Host;
  readonly log: Log;
  readonly cluster: Pick<Cluster, 'ask'>;
  readonly options: UdpOptions;
  readonly requestMs: number;
  readonly counters: UdpCounters;
  /** The nodes to use now. */
  nodes(): readonly DatagramNode[];
  /** Whether the last that was seen of UDP to the nodes is that it is blocked. */
  blocked(): boolean;
  /** A node answered over UDP, or none did for some seconds. */
  reach(reachable: boolean): void;
}

export interface AssociationHandlers {
  /** A SOCKS datagram of a target's. The bytes are the handler's. */
  payload(bytes: Uint8Array): void;
  /** Nothing more is sent or received. Not called after `end`. */
  over(reason: LinkEnd): void;
}

export interface AssociationStatus {
  readonly node: string | undefined;
  readonly way: 'udp' | 'tls';
  readonly standbys: readonly string[];
}

/**
 * A node that has answered over TLS answers over UDP within that, unless UDP is blocked: then the
 * first payloads need not wait until that is certain. Shorter, and where a round trip takes long
 * they go over TLS for nothing.
 */
const FIRST_ANSWER_MS = 300;

/**
 * One association, driven: its machine, a socket for each node, its control connection, and one
 * timer. Where UDP is blocked, its payloads go over the control connection, while the machine goes
 * on asking.
 */
export class Association {
  /** When something last passed, either way. */
  movedAt: number;
  readonly #context: AssociationContext;
  readonly #handlers: AssociationHandlers;
  readonly #link: ControlLink;
  readonly #machine: ClientAssociation;
  readonly #sockets: NodeSockets;
  /** Whether nodes answer over UDP; `late`: none has yet, and it is too early to say. */
  #reachable: 'yes' | 'late' | 'no';
  #heardAt = -Infinity;
  #armedFor = Infinity;
  #cancel: Cancel | undefined;
  #cancelFirst: Cancel | undefined;
  #toldTooLarge = false;
  #over = false;

  /**
   * Asks the cluster for a new one: it, or a node's refusal. Rejects with a ClientError when no
   * node answers or the signal aborts.
   */
  static async open(
    context: AssociationContext,
    request: UdpRequest,
    signal: AbortSignal,
    handlers: AssociationHandlers,
  ): Promise<Association | Reply> {
    const link = await ControlLink.open(context, request, signal);
    return link instanceof ControlLink ? new Association(context, link, handlers) : link;
  }

  private constructor(
    context: AssociationContext,
    link: ControlLink,
    handlers: AssociationHandlers,
  ) {
    const { host, options } = context;
    this.#context = context;
    this.#handlers = handlers;
    this.#link = link;
    this.#reachable = context.blocked() ? 'no' : 'yes';
    this.movedAt = host.now();
    this.#machine = new ClientAssociation({
      ...link.grant,
      random: (sizeBytes) => host.random(sizeBytes),
      datagramBytes: options.datagramBytes,
      standbys: options.standbys,
      resend: options.resend,
    });
    this.#sockets = new NodeSockets(host, {
      datagram: (bytes, node) => this.#handleDatagram(bytes, node),
      refused: (node) => this.#input((now) => this.#machine.handleRefused(node, now)),
      unsent: (count) => context.counters.refuse('unsent', count),
    });
    link.keep((exported) => this.#machine.adoptionProof(exported), {
      payload: (bytes) => this.#handleTlsPayload(bytes),
      heardAt: () => this.#heardAt,
      // Its node may be dead: a PROBE finds out before the next payload does.
      lost: () => this.#input((now) => this.#machine.handleDoubt(now)),
      adopted: () => {
        context.counters.adoptions += 1;
        if (this.#reachable === 'no') context.reach(false);
        if (this.#reachable !== 'yes') this.#lose(this.#reachable);
      },
      over: (reason) => this.#finish(reason),
    });
    context.counters.opened += 1;
    this.#cancelFirst = host.after(FIRST_ANSWER_MS, () => {
      if (this.#reachable === 'yes') this.#lose('late');
    });
    this.nodesChanged();
  }

  get status(): AssociationStatus {
    const { endpoint: node, standbys } = this.#machine;
    return { node, way: this.#way, standbys };
  }

  get #way(): 'udp' | 'tls' {
    const { fallback } = this.#context.options;
    return fallback && this.#reachable !== 'yes' && this.#link.up ? 'tls' : 'udp';
  }

  /** What it has counted, unless it is over: then it is in `past`. */
  addTo(totals: RecordTotals): void {
    if (!this.#over) totals.add(this.#machine.counters);
  }

  /** A SOCKS datagram, perhaps a fragment. The bytes must not change any more. */
  send(payload: Buffer): void {
    this.movedAt = this.#context.host.now();
    if (this.#way === 'tls' && payload.length <= CONTROL_PAYLOAD_BYTES_MAX) {
      this.#sendOverTls(payload);
      return;
    }
    const outcome = this.#input((now) => this.#machine.send(payload, now));
    if (outcome === 'too large') this.#refuseTooLarge(payload.length);
    else this.#context.counters.datagrams.toCluster += 1;
  }

  nodesChanged(): void {
    const names = this.#context.nodes().map(({ name }) => name);
    this.#input((now) => this.#machine.setCandidates(names, now));
  }

  /** Ends it, at the nodes too; when the answer ends, nothing of it is left here. */
  async end(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#input((now) => this.#machine.end(now));
    this.#close('closed');
    await this.#link.close('end');
  }

  #handleDatagram(bytes: Buffer, node: string): void {
    if (detectRecord(bytes) !== 'secure') {
      this.#context.counters.refuse('no record');
      return;
    }
    const { counters } = this.#machine;
    const { opened } = counters;
    this.#input((now) => {
      this.#machine.handleDatagram(bytes, node, now);
      if (counters.opened > opened) this.#heardAt = now;
    });
  }

  #handleTlsPayload(payload: Buffer): void {
    const { counters, host } = this.#context;
    this.movedAt = host.now();
    counters.datagrams.fromCluster += 1;
    counters.overTls.fromCluster += 1;
    this.#handlers.payload(Buffer.from(payload));
  }

  /** Every input of the machine: what follows from it is carried out. */
  #input<Result>(input: (now: number) => Result): Result {
    const result = input(this.#context.host.now());
    const machine = this.#machine;
    for (let out = machine.pollOutput(); out; out = machine.pollOutput()) {
      this.#sockets.send(out.bytes, out.to, this.#find);
    }
    for (let event = machine.pollEvent(); event; event = machine.pollEvent()) this.#handle(event);
    this.#arm();
    return result;
  }

  readonly #find = (name: string): DatagramNode | undefined =>
    this.#context.nodes().find((node) => node.name === name);

  #handle(event: ClientEvent): void {
    if (this.#over) return;
    const { counters, log } = this.#context;
    switch (event.kind) {
      case 'payload':
        this.movedAt = this.#context.host.now();
        counters.datagrams.fromCluster += 1;
        this.#handlers.payload(event.payload);
        return;
      case 'moved': {
        const { to, reason } = event;
        counters.moves[reason] += 1;
        log.debug({ event: 'association-moved', to, reason }, 'association moved');
        return;
      }
      case 'reached':
        this.#cancelFirst?.();
        this.#reachable = 'yes';
        this.#context.reach(true);
        return;
      case 'unreachable':
        counters.unreachable += 1;
        this.#lose('no');
        // Where nothing answers over TLS either, UDP is not what is blocked.
        if (this.#link.up) this.#context.reach(false);
        return;
      case 'ended':
        void this.#link.close('leave');
        this.#finish(event.reason);
    }
  }

  /** No node answers over UDP: what waits for one, or was sent in vain, goes the other way. */
  #lose(reachable: 'late' | 'no'): void {
    this.#reachable = reachable;
    if (this.#way === 'udp') return;
    const waiting = this.#machine.takeWaiting(this.#context.host.now());
    this.#context.counters.datagrams.toCluster -= waiting.length;
    for (const payload of waiting) this.#sendOverTls(payload);
  }

  #sendOverTls(payload: Uint8Array): void {
    const { counters } = this.#context;
    if (this.#link.sendPayload(payload)) {
      counters.datagrams.toCluster += 1;
      counters.overTls.toCluster += 1;
    } else counters.refuse('full');
  }

  #refuseTooLarge(sizeBytes: number): void {
    const { counters, log } = this.#context;
    counters.refuse('too large');
    if (this.#toldTooLarge) return;
    this.#toldTooLarge = true;
    const { payloadBytesMax } = this.#machine;
    const fields = { event: 'datagram-too-large', sizeBytes, mostBytes: payloadBytesMax };
    log.warn(fields, 'datagrams too large for the path are refused: check `udp.datagram`');
  }

  /** Deadlines move further off with every datagram: the timer finds out when it is due. */
  #arm(): void {
    const { deadline } = this.#machine;
    if (this.#over || deadline >= this.#armedFor) return;
    this.#cancel?.();
    this.#armedFor = deadline;
    const { host } = this.#context;
    this.#cancel = host.after(Math.max(0, deadline - host.now()), () => {
      this.#armedFor = Infinity;
      const due = this.#machine.deadline <= host.now();
      if (due) this.#input((now) => this.#machine.handleDeadline(now));
      else this.#arm();
    });
  }

  #finish(reason: LinkEnd): void {
    if (this.#over) return;
    this.#close(reason);
    this.#handlers.over(reason);
  }

  #close(reason: LinkEnd): void {
    this.#over = true;
    this.#cancelFirst?.();
    this.#cancel?.();
    this.#sockets.close();
    this.#context.counters.ended[reason] += 1;
    this.#context.counters.past.add(this.#machine.counters);
  }
}
