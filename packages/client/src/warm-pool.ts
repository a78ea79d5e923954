import type { Cancel, Host } from '@argyle/host';
import type { ClientError } from './errors.ts';

/** What the pool needs of a connection. */
export interface Keepable {
  readonly node: number;
  /** Host time of its handshake. */
  readonly securedAt: number;
  /** Called once, if the connection is lost while nobody waits for an answer. */
  watch(lost: (failure: ClientError) => void): void;
  close(): void;
}

export interface WarmPoolOptions<Connection extends Keepable> {
  /** Connections kept ahead while the client is in use. */
  readonly size: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /**
   * Connects and logs in at the preferred node; undefined when there is no node to keep them at.
   */
  dial(): Promise<Connection | undefined>;
  /** A connection broke while nobody used it. */
  lost(connection: Connection, failure: ClientError): void;
}

/**
 * Nodes wait as long for the request of a client that is logged in as for a byte in a tunnel. What
 * lies between may forget a silent connection after minutes. Longer, and a request finds out that
 * its connection is dead; shorter, and the cluster makes more handshakes.
 */
const UNUSED_MS = 60_000;
const UNUSED_JITTER = 0.1;
/**
 * A connection is given up after this long even if it is in use all the time, so that the sessions
 * which the client holds are renewed well within the hour that they live unused. Shorter, and the
 * cluster makes more handshakes.
 */
const LIFE_MS = 10 * 60_000;
/**
 * Connections that came back are kept for the next burst of requests, up to so many. More cost the
 * nodes memory for a minute, fewer cost them handshakes.
 */
const KEPT_MAX = 64;
/** A client that was asked for nothing for this long keeps one connection: it tells of a death. */
const QUIET_MS = 60_000;

interface Warm<Connection> {
  readonly connection: Connection;
  readonly cancel: Cancel;
}

/** Connections that are logged in and wait for a request, so that it costs one round trip. */
export class WarmPool<Connection extends Keepable> {
  readonly #host: Host;
  readonly #options: WarmPoolOptions<Connection>;
  /** The last one that was put here comes last. */
  #warm: Warm<Connection>[] = [];
  #dialling = 0;
  #takenAt: number;
  #stopped = false;

  constructor(host: Host, options: WarmPoolOptions<Connection>) {
    this.#host = host;
    this.#options = options;
    this.#takenAt = host.now();
  }

  get size(): number {
    return this.#warm.length;
  }

  /** The last one that was put here, of a node that is wanted: the others may end unused. */
  take(wanted: (node: number) => boolean): Connection | undefined {
    this.#takenAt = this.#host.now();
    const index = this.#warm.findLastIndex(({ connection }) => wanted(connection.node));
    const [warm] = index < 0 ? [] : this.#warm.splice(index, 1);
    warm?.cancel();
    this.refill();
    return warm?.connection;
  }

  /** Dials what is missing. Called whenever a node may have become usable. */
  refill(): void {
    while (!this.#stopped && this.#warm.length + this.#dialling < this.#wanted) {
      this.#dialling += 1;
      void this.#fill();
    }
  }

  /** Closes the connections to all nodes but one. */
  keepOnly(node: number): void {
    const [kept, left] = [
      this.#warm.filter(({ connection }) => connection.node === node),
      this.#warm.filter(({ connection }) => connection.node !== node),
    ];
    this.#warm = kept;
    left.forEach(close);
  }

  stop(): void {
    this.#stopped = true;
    this.#warm.splice(0).forEach(close);
  }

  get #wanted(): number {
    const quiet = this.#host.now() - this.#takenAt > QUIET_MS;
    return quiet ? Math.min(1, this.#options.size) : this.#options.size;
  }

  async #fill(): Promise<void> {
    const connection = await this.#options.dial();
    this.#dialling -= 1;
    if (connection) this.keep(connection);
  }

  /** One that is good for a request; closed if there are enough, or it is old. */
  keep(connection: Connection): void {
    const old = this.#host.now() - connection.securedAt > LIFE_MS;
    if (this.#stopped || old || this.#warm.length >= KEPT_MAX) {
      connection.close();
      return;
    }
    const unusedMs = UNUSED_MS * (1 - UNUSED_JITTER * this.#options.random());
    const warm = {
      connection,
      cancel: this.#host.after(unusedMs, () => {
        this.#remove(warm);
        connection.close();
        this.refill();
      }),
    };
    this.#warm.push(warm);
    connection.watch((failure) => {
      warm.cancel();
      this.#remove(warm);
      this.#options.lost(connection, failure);
      this.refill();
    });
  }

  #remove(warm: Warm<Connection>): void {
    this.#warm = this.#warm.filter((other) => other !== warm);
  }
}

function close({ connection, cancel }: Warm<Keepable>): void {
  cancel();
  connection.close();
}
