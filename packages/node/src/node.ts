import { networkInterfaces } from 'node:os';
import type { Endpoint, Host, Log, MetricFamily } from '@argyle/host';
import type { ClusterKeys } from '@argyle/replica';
import { Binder } from './binder.ts';
import type { ClientConnection } from './client-connection.ts';
import { Dialer } from './dialer.ts';
import { createFrontParts, type FrontParts } from './front-parts.ts';
import { replicaOf, type NodeCache, type OpenCache } from './node-cache.ts';
import { NodeError } from './node-error.ts';
import { nodeMetrics } from './node-metrics.ts';
import { NodeUdp } from './node-udp.ts';
import type { NodeOptions, UserEntry } from './options.ts';
import { ProtectedEndpoints } from './protected-endpoints.ts';
import { Revocations } from './revocations.ts';
import { RuleBook } from './rule-book.ts';
import { SocksSession } from './socks-session.ts';
import { TlsFront } from './tls-front.ts';
import { Tunnels } from './tunnels.ts';
import {
  associationsView,
  conventionalView,
  bindsView,
  cacheView,
  clusterView,
  sessionsView,
} from './views.ts';

export interface NodeDependencies {
  readonly host: Host;
  readonly log: Log;
  readonly options: NodeOptions;
  /** By default the replica that the options describe. */
  readonly cache?: OpenCache;
  /**
   * After `start`: the node cannot go on. By default the error is thrown, which ends the process.
   */
  readonly failed?: (error: Error) => void;
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not, as a sentence; empty when ready. */
  readonly reason: string;
}

/** Of ports that the system chooses. */
const PORT_TRIES = 8;

type State = 'new' | 'joining' | 'serving' | 'draining' | 'stopped';

/**
 * One proxy node. It listens when its cache has synchronised, so a client that reaches it finds
 * the cluster's sessions. In order: `start`, perhaps `drain`, `stop`.
 */
export class Node {
  readonly #host: Host;
  readonly #log: Log;
  readonly #options: NodeOptions;
  readonly #cache: NodeCache;
  readonly #parts: FrontParts;
  readonly #front: TlsFront;
  readonly #dialer: Dialer;
  readonly #binder: Binder;
  readonly #udp: NodeUdp;
  readonly #revocations: Revocations;
  readonly #tunnels = new Tunnels();
  readonly #sessions = new Map<ClientConnection, { socks: SocksSession; ended: Promise<void> }>();
  readonly #failed: (error: Error) => void;
  #state: State = 'new';
  #endpoint: Endpoint | undefined;
  #joining: { resolve: () => void; reject: (error: Error) => void } | undefined;

  /** Throws a NodeError when the options hold something that is none. */
  constructor({ host, log, options, cache, failed }: NodeDependencies) {
    this.#host = host;
    this.#log = log;
    this.#options = options;
    this.#failed = failed ?? throwUncaught;
    this.#cache = (cache ?? replicaOf(host, log, options))({
      stateChanged: () => {
        if (this.#cache.ready) this.#joining?.resolve();
        else this.#udp.secure.forget();
      },
      failed: (error) => this.#cacheFailed(error),
    });
    this.#parts = createFrontParts(host, log, this.#cache, options);
    const rules = new RuleBook(options.rules);
    const reach = {
      rules,
      connectMs: options.limits.connectMs,
      pulse: this.#parts.pulse,
    };
    const protectedEndpoints = new ProtectedEndpoints(protectedBy(options), ownAddresses);
    this.#dialer = new Dialer(host, { ...reach, protectedEndpoints });
    const { counters } = this.#parts;
    this.#binder = new Binder(host, { ...reach, ...options.socks.bind, counters });
    this.#front = new TlsFront(
      {
        ...this.#parts,
        secured: (connection) => this.#serve(connection),
        plain: (connection) => {
          counters.plain.add([]);
          this.#serve(connection);
        },
      },
      {
        listen: options.listen,
        tls: options.tls,
        handshakeMs: options.limits.handshakeMs,
        lineageMs: options.sessions.lineageMs,
      },
    );
    this.#udp = new NodeUdp({
      ...{ host, log, name: options.name, cache: this.#cache, rules, protectedEndpoints },
      ...{ logins: this.#parts.logins, users: this.#parts.users, options: options.socks.udp },
      ...{ holdMs: options.sessions.holdMs, lookUpMs: options.limits.connectMs },
    });
    const { store, secure: associations } = this.#udp;
    this.#revocations = new Revocations({
      ...{ ...this.#parts, cache: this.#cache, associations, associationStore: store },
    });
  }

  /** Where it listens; undefined before it does. */
  get endpoint(): Endpoint | undefined {
    return this.#endpoint;
  }

  /** Ends when clients are served; rejects with a NodeError. */
  async start(): Promise<void> {
    this.#state = 'joining';
    await this.#join();
    const endpoint = await this.#listen();
    if (this.#stopped()) {
      this.#front.close();
      this.#udp.close();
      throw new NodeError('stopped', 'the node was stopped while it started');
    }
    this.#endpoint = endpoint;
    this.#state = 'serving';
    this.#log.info({ event: 'serving', ...endpoint }, 'serving clients');
  }

  /** Accepts nobody, ends idle connections, and waits for the others within the limit. */
  async drain(): Promise<void> {
    if (this.#state !== 'serving') return;
    this.#state = 'draining';
    this.#front.close();
    const moved = this.#udp.secure.drain();
    for (const { socks } of this.#sessions.values()) socks.drain();
    await new Promise<void>((resolve) => {
      const cancel = this.#host.after(this.#options.limits.drainMs, resolve);
      const ended = [...this.#sessions.values()].map(({ ended }) => ended);
      void Promise.all([moved, ...ended]).then(() => {
        cancel();
        resolve();
      });
    });
  }

  /** Ends everything at once. Calling it again is calling it once. */
  async stop(): Promise<void> {
    if (this.#stopped()) return;
    this.#state = 'stopped';
    this.#joining?.reject(new NodeError('stopped', 'the node was stopped while it started'));
    this.#front.close();
    const ended = [...this.#sessions.values()].map(({ ended }) => ended);
    for (const connection of this.#parts.connections.open) this.#cut(connection);
    for (const tunnel of this.#tunnels.open) tunnel.abort();
    this.#udp.close();
    await Promise.all(ended);
    this.#revocations.close();
    this.#parts.claims?.close();
    await this.#cache.close();
  }

  /**
   * Takes effect at once: whoever is gone or has another entry loses his open connections here and
   * his lineages everywhere. Ends when the other members have that. Throws a NodeError for an entry
   * that is none, and keeps the users it had.
   */
  reloadUsers(users: ReadonlyMap<string, UserEntry>): Promise<void> {
    const ended = this.#parts.users.replace(users);
    return this.#reported(this.#revocations.endUsers(ended));
  }

  /**
   * The ring's first key seals from here on, and all of it opens; nothing that is open ends. False
   * for another cluster's ring, which wants a new start: nothing changed.
   */
  reloadKeys(clusterKeys: ClusterKeys): boolean {
    return this.#cache.takeKeys(clusterKeys);
  }

  /** Its sessions resume nowhere any more, and its open connections end, at every node. */
  revokeLineage(lineage: Uint8Array): Promise<void> {
    return this.#reported(this.#revocations.revoke([lineage]));
  }

  /** The same for one session. */
  revokeSession(id: Uint8Array): Promise<void> {
    return this.#reported(this.#revocations.revoke([id]));
  }

  readiness(): Readiness {
    if (this.#state === 'serving' && this.#cache.ready) return { ready: true, reason: '' };
    if (this.#state === 'draining') return { ready: false, reason: 'The node is draining.' };
    if (this.#state === 'stopped') return { ready: false, reason: 'The node is stopped.' };
    const { reason } = this.#cache.status().self;
    return { ready: false, reason: reason === '' ? 'The node is starting.' : reason };
  }

  metrics(): readonly MetricFamily[] {
    const metrics = nodeMetrics({
      counters: this.#parts.counters,
      connections: this.#parts.connections,
      tunnels: this.#tunnels,
      binder: this.#binder,
      status: this.#cache.status(),
    });
    return [...metrics, ...this.#udp.metrics()];
  }

  readonly views = {
    cluster: () => clusterView(this.#cache.status()),
    cache: () => cacheView(this.#cache.status()),
    sessions: ({ limit }: { readonly limit: number }) =>
      sessionsView(this.#host, this.#cache, limit),
    binds: ({ limit }: { readonly limit: number }) =>
      bindsView(this.#host, this.#binder.waiting, limit),
    associations: ({ limit }: { readonly limit: number }) =>
      associationsView(this.#host, this.#udp.store, limit),
    conventional: ({ limit }: { readonly limit: number }) =>
      conventionalView(this.#host, this.#udp.conventional.open, limit),
  };

  #stopped(): boolean {
    return this.#state === 'stopped';
  }

  /** TCP and UDP have one port. What the system chose for TCP may not be free for UDP. */
  async #listen(): Promise<Endpoint> {
    for (let tries = 1; ; tries += 1) {
      const endpoint = await this.#front.listen();
      try {
        await this.#udp.listen(endpoint);
        return endpoint;
      } catch (cause) {
        this.#front.close();
        if (this.#options.listen.port === 0 && tries < PORT_TRIES) continue;
        const why = cause instanceof Error ? cause.message : 'unknown';
        throw new NodeError('listen', `cannot listen for UDP: ${why}`, { cause });
      }
    }
  }

  async #join(): Promise<void> {
    const joined = new Promise<void>((resolve, reject) => (this.#joining = { resolve, reject }));
    const opened = this.#cache.start().then(() => {
      if (this.#cache.ready) this.#joining?.resolve();
    });
    try {
      await Promise.all([opened, joined]);
    } catch (cause) {
      if (cause instanceof NodeError) throw cause;
      const why = cause instanceof Error ? cause.message : 'unknown';
      throw new NodeError('group', `cannot join the group: ${why}`, { cause });
    } finally {
      this.#joining = undefined;
    }
  }

  #serve(connection: ClientConnection): void {
    if (this.#state !== 'serving') {
      this.#cut(connection);
      return;
    }
    const { users, counters } = this.#parts;
    const { authentication, limits } = this.#options;
    const socks = new SocksSession(
      {
        host: this.#host,
        users,
        counters,
        dialer: this.#dialer,
        binder: this.#binder,
        udp: this.#udp,
        methods: authentication.methods,
        limits,
        seat: (address) => this.#parts.connections.seat(address),
        opened: (tunnel) => this.#tunnels.add(tunnel),
      },
      connection,
    );
    const ended = socks.run().finally(() => this.#sessions.delete(connection));
    this.#sessions.set(connection, { socks, ended });
  }

  #cut(connection: ClientConnection): void {
    this.#parts.counters.cut.add(['drain']);
    connection.cut();
  }

  #cacheFailed(error: Error): void {
    if (this.#joining) this.#joining.reject(error);
    else if (this.#state !== 'stopped') this.#failed(error);
  }

  /** It holds here already; a member that has not confirmed it gets it when it is reached. */
  async #reported(revocation: Promise<void>): Promise<void> {
    try {
      await revocation;
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.#log.warn({ event: 'revocation', reason }, 'not all members have confirmed it yet');
    }
  }
}

/** The node's own doors, beside those that the options name. */
function protectedBy({ protectedEndpoints, group, listen }: NodeOptions): readonly Endpoint[] {
  const { interfaceAddress, ownPort, address } = group;
  const links = { address: interfaceAddress, port: ownPort };
  return [...protectedEndpoints, links, address, listen];
}

function ownAddresses(): readonly string[] {
  const interfaces = Object.values(networkInterfaces());
  return interfaces.flatMap((addresses) => (addresses ?? []).map(({ address }) => address));
}

function throwUncaught(error: Error): void {
  queueMicrotask(() => {
    throw error;
  });
}
