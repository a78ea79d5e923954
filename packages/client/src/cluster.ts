import { setMaxListeners } from 'node:events';
import type { SecureContext } from 'node:tls';
import type { CarriedTunnel, Cancel, Host, Log } from '@argyle/host';
import { ConnectionPool } from './connection-pool.ts';
import { Connector } from './connector.ts';
import type { Counters } from './counters.ts';
import { ClientError, isTransient, type ClientErrorCode } from './errors.ts';
import { failureOf } from './failure.ts';
import { hedged } from './hedge.ts';
import { endpointLabel } from './label.ts';
import { NodeChoice, type NodeStatus } from './node-choice.ts';
import type { NodeConnection } from './node-connection.ts';
import type { ClientOptions } from './options.ts';
import { SessionGate } from './session-gate.ts';
import { decodeReply, type Reply } from './socks-dialogue.ts';
import { SessionPool, type SessionPoolStatus } from './session-pool.ts';

/** What a node has answered. After a success the tunnel is the caller's to join or to abort. */
export interface Answered {
  readonly reply: Reply;
  readonly tunnel: CarriedTunnel;
}

export interface ClusterStatus {
  /** Label of the preferred node. */
  readonly node: string;
  readonly reason: string;
  readonly anyReached: boolean;
  readonly failovers: number;
  readonly nodes: readonly NodeStatus[];
  readonly sessions: SessionPoolStatus;
  readonly connections: number;
  /** Those that carry nothing. */
  readonly warmConnections: number;
}

/** The nodes seen as one: whichever is best now answers a request, and the next if it dies. */
export class Cluster {
  readonly #host: Host;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #labels: readonly string[];
  readonly #sessions = new SessionPool();
  readonly #gate: SessionGate;
  readonly #choice: NodeChoice;
  readonly #connector: Connector;
  readonly #pool: ConnectionPool<NodeConnection>;
  /** Requests that wait for a node to answer again. */
  readonly #waiting = new Set<() => void>();
  readonly #unanswered = new Set<{ readonly node: number; abort(failure: ClientError): void }>();
  readonly #stopping = new AbortController();
  #announced: number | undefined;
  #cancel: Cancel | undefined;

  constructor(
    host: Host,
    log: Log,
    options: ClientOptions,
    secureContext: SecureContext,
    counters: Counters,
  ) {
    this.#host = host;
    this.#log = log;
    this.#counters = counters;
    this.#labels = options.nodes.map(endpointLabel);
    this.#gate = new SessionGate(host, this.#sessions);
    const random = () => Buffer.from(host.random(4)).readUInt32BE() / 2 ** 32;
    const { retryMs } = options.limits;
    this.#choice = new NodeChoice({ nodes: this.#labels, retryMs, random }, host.now());
    this.#connector = new Connector(host, options, secureContext, {
      handshake: (handshake) => counters.handshake(handshake),
      login: (by) => void (counters.logins[by] += 1),
      session: (session) => {
        this.#sessions.add(session, host.now());
        this.#gate.sessionAdded();
      },
      refused: (lease) => this.#sessions.refuse(lease),
      unsent: (lease) => this.#sessions.restore(lease),
    });
    this.#pool = new ConnectionPool(host, {
      warm: options.warmConnections,
      random,
      dial: () => this.#dialPreferred(),
      lost: ({ facts }, failure) => this.#suspect(facts.node, failure),
    });
    setMaxListeners(0, this.#stopping.signal);
  }

  start(): void {
    this.#settle();
  }

  /**
   * The first answer that a node gives to the request, be it a failure. Nothing of the application
   * has been sent before the answer, so a request whose node was lost goes to the next node, and
   * one whose node is silent goes to the next as well. Rejects with a ClientError when none is left
   * or the signal aborts.
   */
  async ask(request: Uint8Array, signal: AbortSignal): Promise<Answered> {
    for (;;) {
      const tried = new Set<number>();
      try {
        return await hedged((signal, silent) => this.#attempt(request, tried, signal, silent), {
          signal,
          attemptsMax: 2 * this.#labels.length,
          discard: ({ tunnel }) => tunnel.abort(),
        });
      } catch (error) {
        // A node that is slow may answer within the time that the request has left.
        if (signal.aborted || !this.#choice.anySlow) throw error;
        if (this.#choice.next(new Set(), this.#host.now()) === undefined) {
          await this.#anyReached(signal);
        }
      }
    }
  }

  #anyReached(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    return promise.finally(() => this.#waiting.delete(resolve));
  }

  status(): ClusterStatus {
    const now = this.#host.now();
    return {
      node: this.#label(this.#choice.preferred),
      reason: this.#choice.reason(now),
      anyReached: this.#choice.anyReached,
      failovers: this.#choice.failovers,
      nodes: this.#choice.status(now),
      sessions: this.#sessions.status(now),
      connections: this.#pool.size,
      warmConnections: this.#pool.idle,
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new ClientError('stopped', 'the client is stopping'));
    this.#cancel?.();
    this.#pool.stop();
    this.#gate.stop();
    await this.#connector.stop();
  }

  /** At one node, by a connection that is there or a new one. */
  async #attempt(
    request: Uint8Array,
    tried: Set<number>,
    signal: AbortSignal,
    silent: () => void,
  ): Promise<Answered> {
    let cancel: Cancel | undefined;
    const watch = (node: number) => {
      cancel = this.#whenSilent(node, () => {
        tried.add(node);
        if (this.#choice.next(tried, this.#host.now()) === undefined) return;
        this.#counters.hedges += 1;
        silent();
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
      const shared = open() ?? (await this.#connect(pick, signal, open));
      if (!cancel) watch(shared.facts.node);
      return await this.#answer(shared, request, signal);
    } finally {
      cancel?.();
    }
  }

  async #answer(
    connection: NodeConnection,
    request: Uint8Array,
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
      this.#suspect(node, failure);
    }
    throw failure;
  }

  /** One that was made for a request is kept for others, unless the choice has moved on. */
  #settleConnection(connection: NodeConnection): void {
    if (connection.facts.node !== this.#choice.preferred) connection.retire();
    else if (!this.#pool.has(connection)) this.#pool.add(connection);
    this.#pool.refill();
  }

  /**
   * A slow answer may be the destination's fault, so it is the node that is asked for a sign of
   * life: `silent` is called once, if neither its connections nor the trial of a suspect bring one.
   */
  #whenSilent(node: number, silent: () => void): Cancel {
    let patienceMs = this.#choice.patienceMs(node);
    const wait = (check: (since: number) => void) => {
      const since = this.#host.now();
      return this.#host.after(patienceMs, () => check(since));
    };
    const look = (since: number) => {
      if (this.#choice.heardAt(node) >= since) {
        patienceMs *= 2;
        cancel = wait(look);
        return;
      }
      this.#suspect(node, new ClientError('timeout', 'no sign of life'));
      cancel = wait((since) => {
        if (this.#choice.heardAt(node) >= since) look(since);
        else silent();
      });
    };
    let cancel = wait(look);
    return () => cancel();
  }

  /** Follows the choice until a node answers or none is left. */
  async #dialPreferred(): Promise<NodeConnection | undefined> {
    for (;;) {
      const { signal } = this.#stopping;
      if (signal.aborted || this.#choice.state(this.#choice.preferred) === 'failed')
        return undefined;
      try {
        return await this.#connect(() => this.#usable(), signal);
      } catch {
        // `#connect` has told the choice, and the next round asks it again.
      }
    }
  }

  #usable(): number | undefined {
    const { preferred } = this.#choice;
    return this.#choice.state(preferred) === 'failed' ? undefined : preferred;
  }

  async #try(node: number): Promise<void> {
    try {
      const pick = () => (this.#choice.underTrial(node) ? node : undefined);
      const connection = await this.#connect(pick, this.#stopping.signal);
      connection.retire();
    } catch {
      // `#connect` has told the choice.
    }
  }

  /**
   * The node is picked once this handshake may go ahead: what was best before may have failed, and
   * there may be a connection by then that does `instead`.
   */
  async #connect(
    pick: () => number | undefined,
    signal: AbortSignal,
    instead: () => NodeConnection | undefined = () => undefined,
  ): Promise<NodeConnection> {
    const passage = await this.#gate.enter(signal);
    const other = instead();
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
    try {
      const connection = await this.#connector.connect(node, passage.lease, signal);
      passage.leave('connected');
      this.#reached(connection);
      return connection;
    } catch (error) {
      passage.leave('failed');
      const failure = failureOf(error);
      if (!signal.aborted) this.#failed(node, failure, startedAt);
      throw failure;
    }
  }

  #reached({ facts: { node, handshakeMs } }: NodeConnection): void {
    const now = this.#host.now();
    const before = this.#choice.state(node);
    this.#choice.reached(node, now);
    for (const wake of this.#waiting) wake();
    if (handshakeMs !== undefined) this.#choice.measured(node, handshakeMs, now);
    if (before === 'failed') {
      this.#log.info({ event: 'node-returned', node: this.#label(node) }, 'node answers again');
    }
    this.#settle();
  }

  #suspect(node: number, failure: ClientError): void {
    this.#choice.suspect(node, failure, this.#host.now());
    this.#settle();
  }

  #failed(node: number, failure: ClientError, startedAt: number): void {
    const now = this.#host.now();
    const before = this.#choice.status(now)[node];
    this.#choice.failed(node, failure, startedAt, now);
    if (this.#choice.state(node) !== 'failed') {
      this.#settle();
      return;
    }
    if (before?.state !== 'failed' || !sameForOperators(before.lastFailure?.code, failure.code)) {
      const fields = { node: this.#label(node), code: failure.code, cause: failure.message };
      if (isTransient(failure.code)) {
        this.#log.warn({ event: 'node-failed', ...fields }, 'node failed');
      } else {
        this.#log.error({ event: 'node-unusable', ...fields }, 'node cannot be used');
      }
    }
    if (isTransient(failure.code)) {
      for (const request of [...this.#unanswered]) {
        if (request.node === node) request.abort(failure);
      }
    }
    this.#settle();
  }

  /** After every change of the choice. */
  #settle(): void {
    if (this.#stopping.signal.aborted) return;
    const { preferred } = this.#choice;
    if (preferred !== this.#announced) {
      this.#announced = preferred;
      const reason = this.#choice.reason(this.#host.now());
      const fields = { event: 'node-chosen', node: this.#label(preferred), reason };
      this.#log.info(fields, 'node chosen');
      this.#pool.keepOnly(preferred);
    }
    this.#pool.refill();
    for (const node of this.#choice.due(this.#host.now())) void this.#try(node);
    this.#arm();
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const { deadline } = this.#choice;
    if (deadline === Infinity) return;
    const delayMs = Math.max(0, deadline - this.#host.now());
    this.#cancel = this.#host.after(delayMs, () => this.#settle());
  }

  #label(node: number): string {
    return this.#labels[node] ?? '';
  }
}

/** A node that is down gives now this error, now that. */
function sameForOperators(before: ClientErrorCode | undefined, now: ClientErrorCode): boolean {
  return before === now || (before !== undefined && isTransient(before) && isTransient(now));
}
