import type { Cancel, Host } from '@argyle/host';
import type { ClientError } from './errors.ts';
import type { ConnectionFacts } from './node-connection.ts';

/** What the pool needs of a connection. */
export interface Poolable {
  readonly facts: Pick<ConnectionFacts, 'node' | 'securedAt'>;
  /** Tunnels that it carries. */
  readonly load: number;
  watch(handlers: { lost(failure: ClientError): void; idle(): void }): void;
  /** Ends it once nothing uses it. */
  retire(): void;
}

export interface ConnectionPoolOptions<Connection extends Poolable> {
  /** Connections that carry nothing and are kept ahead while the client is in use. */
  readonly warm: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /**
   * Connects and logs in at the preferred node; undefined when there is no node to keep them at.
   */
  dial(): Promise<Connection | undefined>;
  /** A connection broke. */
  lost(connection: Connection, failure: ClientError): void;
}

/**
 * More requests at once share connections. More of them, and each client costs a node more memory;
 * fewer, and more tunnels wait for each other's lost packets.
 */
const CONNECTIONS_MAX = 16;
/**
 * Nodes wait as long for the request of a client that is logged in as for a byte in a tunnel. What
 * lies between may forget a silent connection after minutes. Longer, and a request finds out that
 * its connection is dead; shorter, and the cluster makes more handshakes.
 */
const UNUSED_MS = 60_000;
const UNUSED_JITTER = 0.1;
/**
 * A connection takes no more requests after this long, so that the sessions which the client holds
 * are renewed well within the hour that they live unused. Shorter, and the cluster makes more
 * handshakes.
 */
const LIFE_MS = 10 * 60_000;
/** A client that was asked for nothing for this long keeps one connection: it tells of a death. */
const QUIET_MS = 60_000;

/** The connections to the preferred node: each takes requests, one after another and at once. */
export class ConnectionPool<Connection extends Poolable> {
  readonly #host: Host;
  readonly #options: ConnectionPoolOptions<Connection>;
  /** The one that was last idle comes last. With what ends it unless it is used. */
  readonly #open = new Map<Connection, Cancel>();
  #dialling = 0;
  #takenAt: number;
  #stopped = false;

  constructor(host: Host, options: ConnectionPoolOptions<Connection>) {
    this.#host = host;
    this.#options = options;
    this.#takenAt = host.now();
  }

  get size(): number {
    return this.#open.size;
  }

  /** Those that carry nothing. */
  get idle(): number {
    let idle = 0;
    for (const { load } of this.#open.keys()) if (load === 0) idle += 1;
    return idle;
  }

  has(connection: Connection): boolean {
    return this.#open.has(connection);
  }

  /** The one with the least to carry, of a node that is wanted; `use` it at once. */
  take(wanted: (node: number) => boolean): Connection | undefined {
    this.#takenAt = this.#host.now();
    let best: Connection | undefined;
    for (const connection of [...this.#open.keys()]) {
      if (this.#host.now() - connection.facts.securedAt > LIFE_MS) this.#retire(connection);
      else if (wanted(connection.facts.node) && connection.load <= (best?.load ?? Infinity)) {
        best = connection;
      }
    }
    if (best) this.#open.get(best)?.();
    return best;
  }

  /** A new connection, logged in. */
  add(connection: Connection): void {
    if (this.#stopped) {
      connection.retire();
      return;
    }
    this.#rest(connection);
    connection.watch({
      lost: (failure) => {
        this.#forget(connection);
        this.#options.lost(connection, failure);
        this.refill();
      },
      idle: () => {
        if (this.#open.has(connection)) this.#rest(connection);
      },
    });
  }

  /** Dials what is missing. Called whenever a node may have become usable, or one was taken. */
  refill(): void {
    while (!this.#stopped && this.#missing) {
      this.#dialling += 1;
      void this.#dial();
    }
  }

  /** Retires the connections to all other nodes. */
  keepOnly(wanted: (node: number) => boolean): void {
    for (const connection of [...this.#open.keys()]) {
      if (!wanted(connection.facts.node)) this.#retire(connection);
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const connection of [...this.#open.keys()]) this.#retire(connection);
  }

  get #missing(): boolean {
    const quiet = this.#host.now() - this.#takenAt > QUIET_MS;
    const warm = quiet ? Math.min(1, this.#options.warm) : this.#options.warm;
    const room = this.#open.size + this.#dialling < CONNECTIONS_MAX;
    return room && this.idle + this.#dialling < warm;
  }

  async #dial(): Promise<void> {
    const connection = await this.#options.dial();
    this.#dialling -= 1;
    if (connection) this.add(connection);
  }

  /** It carries nothing: the next request may have it, until it was unused for too long. */
  #rest(connection: Connection): void {
    this.#forget(connection);
    const unusedMs = UNUSED_MS * (1 - UNUSED_JITTER * this.#options.random());
    const cancel = this.#host.after(unusedMs, () => {
      if (connection.load > 0) return;
      this.#retire(connection);
      this.refill();
    });
    this.#open.set(connection, cancel);
  }

  #retire(connection: Connection): void {
    this.#forget(connection);
    connection.retire();
  }

  #forget(connection: Connection): void {
    this.#open.get(connection)?.();
    this.#open.delete(connection);
  }
}
