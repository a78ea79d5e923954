import { setMaxListeners } from 'node:events';
import type { SecureContext } from 'node:tls';
import type { CarriedTunnel, Cancel, Host, Log, Resolve } from '@argyle/host';
import type { NameStatus } from './address-book.ts';
import { ConnectionPool } from './connection-pool.ts';
import { Connector } from './connector.ts';
import type { Counters } from './counters.ts';
import { DatagramNodes, type DatagramNode } from './datagram-nodes.ts';
import { ClientError } from './errors.ts';
import { failureOf } from './failure.ts';
import { hedged } from './hedge.ts';
import type { NodeConnection, NodeRequest } from './node-connection.ts';
import { Nodes, type KnownNode } from './nodes.ts';
import type { ClientOptions } from './options.ts';
import { SessionGate, type Passage } from './session-gate.ts';
import { whenSilent } from './silence.ts';
import { decodeReply, type Reply } from './socks-dialogue.ts';
import { SessionPool, type SessionPoolStatus } from './session-pool.ts';

/** What a node has answered. After a success the tunnel is the caller's to join or to abort. */
export interface Answered {
  readonly reply: Reply;
  readonly tunnel: CarriedTunnel;
}

export interface ClusterStatus {
  /** The preferred node; undefined when no address is known. */
  readonly node: KnownNode | undefined;
  readonly reason: string;
  readonly anyReached: boolean;
  readonly failovers: number;
  readonly nodes: readonly KnownNode[];
  readonly names: readonly NameStatus[];
  readonly sessions: SessionPoolStatus;
  readonly connections: number;
  /** Those that carry nothing. */
  readonly warmConnections: number;
}

export interface ClusterContext {
  readonly host: Host;
  readonly log: Log;
  readonly counters: Counters;
  readonly resolve: Resolve;
}

interface Dial {
  /** Asked when the handshake may go ahead; undefined for none. */
  readonly pick: () => number | undefined;
  readonly signal: AbortSignal;
  /** What may have come into being meanwhile, and does as well. */
  readonly instead?: () => NodeConnection | undefined;
  /** It is likely to come to nothing. */
  readonly doubtful?: boolean;
}

const NONE: ReadonlySet<number> = new Set();

/** The nodes seen as one: whichever is best now answers a request, and the next if it dies. */
export class Cluster {
  readonly #host: Host;
  readonly #counters: Counters;
  readonly #sessions = new SessionPool();
  readonly #gate: SessionGate;
  readonly #nodes: Nodes;
  readonly #connector: Connector;
  readonly #pool: ConnectionPool<NodeConnection>;
  /** Requests that wait for a node to appear, or to answer again. */
  readonly #waiting = new Set<() => void>();
  readonly #unanswered = new Set<{ readonly node: number; abort(failure: ClientError): void }>();
  /** Connections that are being made to be kept, by what gives them up. */
  readonly #dials = new Map<AbortController, number>();
  /** Under way, with the node that each is made at. */
  readonly #handshakes = new Map<Passage, number>();
  readonly #stopping = new AbortController();
  readonly #datagramNodes = new DatagramNodes();
  #datagramNodesChanged: () => void = () => undefined;

  constructor(context: ClusterContext, options: ClientOptions, secureContext: SecureContext) {
    const { host, counters } = context;
    this.#host = host;
    this.#counters = counters;
    this.#gate = new SessionGate(host, this.#sessions);
    const random = () => Buffer.from(host.random(4)).readUInt32BE() / 2 ** 32;
    const { retryMs } = options.limits;
    this.#nodes = new Nodes(
      context,
      { nodes: options.nodes, retryMs, random },
      {
        try: (node) => void this.#try(node),
        changed: () => this.#changed(),
        failed: (node, failure) => this.#inVain(node, failure),
        forgotten: (node) => this.#connector.forget(node),
        connections: (node) => this.#connector.connections(node),
      },
    );
    this.#connector = new Connector(host, options, secureContext, {
      handshake: ({ node, ...handshake }) => {
        counters.handshake({ node: this.#nodes.label(node), ...handshake });
      },
      login: (by) => void (counters.logins[by] += 1),
      session: (session) => {
        this.#sessions.add(session, host.now());
        this.#gate.sessionAdded();
      },
      resumed: () => this.#sessions.accept(),
      refused: (lease, node) => {
        this.#sessions.refuse(lease, { node, alone: !this.#choice.anyOther(node) });
      },
      unsent: (lease) => this.#sessions.restore(lease),
      closed: (node) => this.#nodes.closed(node),
    });
    this.#pool = new ConnectionPool(host, {
      warm: options.warmConnections,
      random,
      dial: () => this.#dialPreferred(),
      lost: ({ facts }, failure) => this.#nodes.suspect(facts.node, failure),
    });
    setMaxListeners(0, this.#stopping.signal);
  }

  start(): void {
    this.#nodes.settle();
  }

  /**
   * The first answer that a node gives to the request, be it a failure. Nothing of the application
   * has been sent before the answer, so a request whose node was lost goes to the next node, and
   * one whose node is silent goes to the next as well. Rejects with a ClientError when none is left
   * or the signal aborts.
   */
  async ask(request: NodeRequest, signal: AbortSignal): Promise<Answered> {
    for (;;) {
      const tried = new Set<number>();
      try {
        return await hedged((signal, silent) => this.#attempt(request, tried, signal, silent), {
          signal,
          attemptsMax: 2 * Math.max(1, this.#choice.size),
          discard: ({ tunnel }) => tunnel.abort(),
        });
      } catch (error) {
        if (signal.aborted || !(await this.#comes(signal))) throw error;
      }
    }
  }

  /**
   * Whether a node can be asked within the time that the request has left: one that is slow may
   * answer yet, and one whose address is being looked up may appear.
   */
  async #comes(signal: AbortSignal): Promise<boolean> {
    const usable = () => this.#choice.next(NONE, this.#host.now()) !== undefined;
    const mayCome = () => this.#choice.anySlow || this.#nodes.lookingUp;
    if (usable()) return this.#choice.anySlow;
    while (mayCome() && !usable() && !signal.aborted) await this.#change(signal);
    return usable() || signal.aborted;
  }

  #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#waiting.add(wake);
    signal.addEventListener('abort', wake);
    return promise.finally(() => {
      this.#waiting.delete(wake);
      signal.removeEventListener('abort', wake);
    });
  }

  /** Where datagrams may go now, the best first. */
  get datagramNodes(): readonly DatagramNode[] {
    return this.#datagramNodes.list;
  }

  /** Tells of every change of `datagramNodes` from now on. */
  watchDatagramNodes(changed: () => void): void {
    this.#datagramNodesChanged = changed;
  }

  status(): ClusterStatus {
    const now = this.#host.now();
    const nodes = this.#nodes.status;
    return {
      node: nodes.find(({ node }) => node === this.#choice.preferred),
      reason: this.#choice.reason(now),
      anyReached: this.#choice.anyReached,
      failovers: this.#choice.failovers,
      nodes,
      names: this.#nodes.names,
      sessions: this.#sessions.status(now),
      connections: this.#pool.size,
      warmConnections: this.#pool.idle,
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new ClientError('stopped', 'the client is stopping'));
    this.#pool.stop();
    this.#gate.stop();
    await Promise.all([this.#nodes.stop(), this.#connector.stop()]);
  }

  get #choice() {
    return this.#nodes.choice;
  }

  /** At one node, by a connection that is there or a new one. */
  async #attempt(
    request: NodeRequest,
    tried: Set<number>,
    signal: AbortSignal,
    silent: () => void,
  ): Promise<Answered> {
    let cancel: Cancel | undefined;
    const watch = (node: number) => {
      cancel = whenSilent(this.#host, this.#choice, node, {
        doubtful: () => this.#nodes.suspect(node, new ClientError('timeout', 'no sign of life')),
        silent: () => {
          tried.add(node);
          if (this.#choice.next(tried, this.#host.now()) === undefined) return;
          this.#counters.hedges += 1;
          silent();
        },
      });
    };
    const pick = () => {
      const node = this.#choice.next(tried, this.#host.now());
      if (node === undefined) return undefined;
      tried.add(node);
      watch(node);
      return node;
    };
    try {
      // It may have been closed for its age: its node gets another chance, last.
      const open = () => this.#pool.take((node) => this.#choice.state(node) === 'reached');
      const shared = open() ?? (await this.#connect({ pick, signal, instead: open }));
      if (!cancel) watch(shared.facts.node);
      return await this.#answer(shared, request, signal);
    } finally {
      cancel?.();
    }
  }

  async #answer(
    connection: NodeConnection,
    request: NodeRequest,
    signal: AbortSignal,
  ): Promise<Answered> {
    const { node } = connection.facts;
    let failure: ClientError | undefined;
    const tunnel = connection.request(request);
    const unanswered = {
      node,
      abort: (why: ClientError) => {
        failure = why;
        tunnel.abort();
      },
    };
    const abort = () => unanswered.abort(failureOf(signal.reason));
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    this.#unanswered.add(unanswered);
    this.#settleConnection(connection);
    try {
      const bytes = await tunnel.replied;
      const reply = bytes && decodeReply(bytes);
      if (reply && !failure) {
        // It lives; that it would take a new connection is not said.
        if (this.#choice.state(node) !== 'failed') this.#choice.reached(node, this.#host.now());
        return { reply, tunnel };
      }
      tunnel.abort();
      failure ??= connection.failure ?? new ClientError('closed', 'the node gave the request up');
    } finally {
      this.#unanswered.delete(unanswered);
      signal.removeEventListener('abort', abort);
    }
    if (!signal.aborted) {
      this.#counters.retries += 1;
      this.#nodes.suspect(node, failure);
    }
    throw failure;
  }

  /** One that was made for a request is kept for others, unless the preferred node is well. */
  #settleConnection(connection: NodeConnection): void {
    if (!this.#keeps(connection.facts.node)) connection.retire();
    else if (!this.#pool.has(connection)) this.#pool.add(connection);
    this.#pool.refill();
  }

  #keeps(node: number): boolean {
    const { preferred } = this.#choice;
    if (preferred === undefined || node === preferred) return node === preferred;
    return this.#choice.state(preferred) !== 'reached' && this.#choice.state(node) !== undefined;
  }

  /** Follows the choice until a node answers or none is left. */
  async #dialPreferred(): Promise<NodeConnection | undefined> {
    const stopping = this.#stopping.signal;
    while (!stopping.aborted && this.#usable() !== undefined) {
      const moved = new AbortController();
      const pick = () => {
        const node = this.#usable();
        if (node !== undefined) this.#dials.set(moved, node);
        return node;
      };
      try {
        return await this.#connect({ pick, signal: AbortSignal.any([stopping, moved.signal]) });
      } catch {
        // `#connect` has told the choice, and the next round asks it again.
      } finally {
        this.#dials.delete(moved);
      }
    }
    return undefined;
  }

  /** A suspect is left to its trial, if another does meanwhile. */
  #usable(): number | undefined {
    const { preferred } = this.#choice;
    if (preferred === undefined) return undefined;
    const state = this.#choice.state(preferred);
    if (state === 'suspect' && this.#choice.anyOther(preferred)) return undefined;
    return state === 'failed' ? undefined : preferred;
  }

  async #try(node: number): Promise<void> {
    const { signal } = this.#stopping;
    const state = this.#choice.state(node);
    const doubtful = state === 'suspect' || state === 'failed';
    try {
      const pick = () => (this.#choice.underTrial(node) ? node : undefined);
      const connection = await this.#connect({ pick, signal, doubtful });
      connection.retire();
    } catch {
      // `#connect` has told the choice.
    }
  }

  /** What was best before may have failed when this handshake may go ahead. */
  async #connect({ pick, signal, instead, doubtful = false }: Dial): Promise<NodeConnection> {
    const passage = await this.#gate.enter(signal, { doubtful });
    const other = instead?.();
    if (other) {
      if (passage.lease) this.#sessions.restore(passage.lease);
      passage.leave('failed');
      return other;
    }
    const startedAt = this.#host.now();
    const node = pick();
    if (node === undefined) {
      passage.leave('failed');
      throw new ClientError('exhausted', 'no node answers');
    }
    this.#handshakes.set(passage, node);
    try {
      const target = { node, endpoint: this.#nodes.endpoint(node) };
      const connection = await this.#connector.connect(target, passage, signal);
      passage.leave('connected');
      this.#nodes.reached(connection.facts);
      return connection;
    } catch (error) {
      passage.leave('failed');
      const failure = failureOf(error);
      if (!signal.aborted) this.#nodes.failed(node, failure, startedAt);
      throw failure;
    } finally {
      this.#handshakes.delete(passage);
    }
  }

  #changed(): void {
    for (const wake of this.#waiting) wake();
    for (const [passage, node] of this.#handshakes) {
      if (this.#choice.state(node) === 'suspect' && this.#choice.anyOther(node)) passage.giveWay();
    }
    this.#pool.keepOnly((node) => this.#keeps(node));
    for (const [dial, node] of this.#dials) {
      if (!this.#keeps(node)) dial.abort(new ClientError('stopped', 'another node is preferred'));
    }
    this.#pool.refill();
    const moved = this.#datagramNodes.update(this.#nodes.status, this.#choice.preferred);
    if (moved) this.#datagramNodesChanged();
  }

  /** Whoever waits for an answer of a node that is gone asks another. */
  #inVain(node: number, failure: ClientError): void {
    for (const request of [...this.#unanswered]) {
      if (request.node === node) request.abort(failure);
    }
  }
}
