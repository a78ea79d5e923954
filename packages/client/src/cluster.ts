import { setMaxListeners } from 'node:events';
import type { SecureContext } from 'node:tls';
import type { Cancel, Host, Log } from '@argyle/host';
import { Connector } from './connector.ts';
import type { Counters } from './counters.ts';
import { ClientError, isTransient, type ClientErrorCode } from './errors.ts';
import { failureOf } from './failure.ts';
import { hedged } from './hedge.ts';
import { endpointLabel } from './label.ts';
import { NodeChoice, type NodeStatus } from './node-choice.ts';
import type { NodeConnection, Reply } from './node-connection.ts';
import type { ClientOptions } from './options.ts';
import { SessionGate } from './session-gate.ts';
import { SessionPool, type SessionPoolStatus } from './session-pool.ts';
import { WarmPool } from './warm-pool.ts';

/** A request that a node has answered; its connection is the caller's, to free or to close. */
export interface Answered {
  readonly reply: Reply;
  readonly connection: NodeConnection;
}

export interface ClusterStatus {
  /** Label of the preferred node. */
  readonly node: string;
  readonly reason: string;
  readonly anyReached: boolean;
  readonly failovers: number;
  readonly nodes: readonly NodeStatus[];
  readonly sessions: SessionPoolStatus;
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
  readonly #pool: WarmPool<NodeConnection>;
  /** Requests that wait for a node to answer again. */
  readonly #waiting = new Set<() => void>();
  readonly #unanswered = new Set<NodeConnection>();
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
    this.#pool = new WarmPool(host, {
      size: options.warmConnections,
      random,
      dial: () => this.#dialPreferred(),
      lost: ({ node }, failure) => this.#suspect(node, failure),
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
          discard: ({ connection }) => connection.close(),
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

  /** Takes a connection back that is good for another request. */
  free(connection: NodeConnection): void {
    if (connection.node === this.#choice.preferred) this.#pool.keep(connection);
    else connection.close();
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
      warmConnections: this.#pool.size,
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new ClientError('stopped', 'the client is stopping'));
    this.#cancel?.();
    this.#pool.stop();
    this.#gate.stop();
    await this.#connector.stop();
  }

  /** At one node, by a warm connection or a new one. */
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
      // A warm connection may have been closed for its age: its node gets another chance, last.
      const warm = this.#pool.take((node) => this.#choice.state(node) === 'reached');
      if (warm) watch(warm.node);
      const connection = warm ?? (await this.#connect(pick, signal));
      return { reply: await this.#answer(connection, request, signal), connection };
    } finally {
      cancel?.();
    }
  }

  async #answer(
    connection: NodeConnection,
    request: Uint8Array,
    signal: AbortSignal,
  ): Promise<Reply> {
    const abort = () => connection.fail(failureOf(signal.reason));
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    this.#unanswered.add(connection);
    try {
      return await connection.request(request);
    } catch (error) {
      const failure = failureOf(error);
      if (!signal.aborted) {
        this.#counters.retries += 1;
        this.#suspect(connection.node, failure);
      }
      throw failure;
    } finally {
      this.#unanswered.delete(connection);
      signal.removeEventListener('abort', abort);
    }
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
      connection.close();
    } catch {
      // `#connect` has told the choice.
    }
  }

  /** The node is picked once this handshake may go ahead: what was best before may have failed. */
  async #connect(pick: () => number | undefined, signal: AbortSignal): Promise<NodeConnection> {
    const passage = await this.#gate.enter(signal);
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

  #reached({ node, handshakeMs }: NodeConnection): void {
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
      for (const connection of this.#unanswered) {
        if (connection.node === node) connection.fail(failure);
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
