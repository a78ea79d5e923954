import { Cache } from '@argyle/cache';
import { Driver, type Endpoint, type Host, type Log, type Resolve } from '@argyle/host';
import {
  type CacheEntry,
  type ListedEntry,
  type NewRecord,
  type RemoteChange,
  ReplicaError,
  type Replicated,
  type SharedCache,
} from './api.ts';
import { type ClusterKeys, type Transport } from '@argyle/multicast';
import { Finders, isAddress } from './finders.ts';
import { Replica, type ReplicaEvent, type WriteStart } from './replica.ts';
import { replicaStatus } from './snapshot.ts';
import type { ReplicaStatus, SelfState } from './status.ts';

/** Clocks of members may differ by that much before a tombstone ends too early. */
const TOMBSTONE_SKEW_MS = 60_000;

export interface LocalReplicaOptions {
  readonly host: Host;
  readonly log: Log;
  readonly name: string;
  readonly group: LocalGroupOptions;
  readonly cache: { readonly capacityBytes: number };
  /** Called whenever the state or its reason changes. */
  readonly stateChanged: (state: SelfState, reason: string) => void;
  /** It cannot go on: its name is in use, or a socket broke. */
  readonly failed: (error: Error) => void;
  /** How names are resolved; by default as the machine does. */
  readonly resolve?: Resolve;
}

export interface LocalGroupOptions {
  /** A ring, or 32 bytes for a ring of one key. */
  readonly clusterKey: Uint8Array | ClusterKeys;
  readonly address: Endpoint;
  readonly interfaceAddress: string;
  readonly ownPort: number;
  readonly multicastTtl: number;
  readonly segmentBytes: number;
  readonly transport: Transport;
  /** Find members by multicast DNS. */
  readonly mdns: boolean;
  /**
   * Own endpoints of members that are greeted until they are heard. A name in place of the address
   * is resolved again and again, and each of its IPv4 addresses is one.
   */
  readonly members: readonly Endpoint[];
}

interface Waiting {
  readonly resolve: (replicated: Replicated) => void;
  readonly reject: (error: ReplicaError) => void;
}

/** The replica on a host: its driver, its discovery, and promises for its tickets. */
export class LocalReplica implements SharedCache {
  readonly #options: LocalReplicaOptions;
  readonly #replica: Replica;
  readonly #driver: Driver<ReplicaEvent>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #watchers = new Map<number, Set<(change: RemoteChange) => void>>();
  readonly #writes = { replicated: 0, timeout: 0, restarted: 0 };
  readonly #finders: Finders;
  #own: Endpoint | undefined;
  #started: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #viewChanges = 0;
  #unsent = 0;
  #closed = false;

  constructor(options: LocalReplicaOptions) {
    this.#options = options;
    const { host, name, group } = options;
    const random = (sizeBytes: number) => host.random(sizeBytes);
    this.#replica = new Replica(
      (digestKey) =>
        new Cache({
          capacityBytes: options.cache.capacityBytes,
          digestKey,
          random,
          tombstoneSkewMs: TOMBSTONE_SKEW_MS,
        }),
      {
        name,
        clusterKey: group.clusterKey,
        random,
        members: group.members.filter(isAddress),
        segmentBytes: group.segmentBytes,
        transport: group.transport,
      },
    );
    this.#finders = new Finders({
      ...{ host, log: options.log, name, mdns: group.mdns, members: group.members },
      ...{ clusterId: this.#replica.group.keyring.clusterId, resolve: options.resolve },
      greet: (endpoint, durationMs) =>
        this.#driver.run((now) => this.#replica.group.greet(endpoint, now + durationMs)),
    });
    this.#driver = new Driver<ReplicaEvent>(host, this.#replica, {
      event: (event) => this.#handle(event),
      opened: (own) => this.#opened(own),
      failed: (error) => this.#fail(error),
      unsent: () => {
        this.#unsent += 1;
      },
    });
  }

  get ready(): boolean {
    return this.#replica.state === 'ready';
  }

  /** Resolves when the sockets are open; readiness comes later, through `stateChanged`. */
  start(): Promise<void> {
    const { group } = this.#options;
    return new Promise((resolve, reject) => {
      this.#started = { resolve, reject };
      this.#driver.start({
        group: group.transport === 'unicast' ? undefined : group.address,
        interfaceAddress: group.interfaceAddress,
        ownPort: group.ownPort,
        linkKeys: () => this.#replica.group.keyring.linkKeys,
        multicastTtl: group.multicastTtl,
      });
    });
  }

  /** Says good-bye, ends what waits, frees the ports. */
  close(): Promise<void> {
    if (!this.#closed) this.#driver.run(() => this.#replica.group.leave());
    this.#closed = true;
    for (const { reject } of this.#waiting.values()) {
      reject(new ReplicaError('closed', 'the replica is shutting down'));
    }
    this.#waiting.clear();
    this.#started?.reject(new ReplicaError('closed', 'the replica was closed while it started'));
    this.#started = undefined;
    return new Promise((resolve) => {
      this.#driver.close(() => this.#finders.close(resolve));
    });
  }

  /**
   * From here on segments are sealed with the ring's first key, and opened with any of it; nobody
   * leaves the view for it. False for another cluster's ring: nothing changed.
   */
  takeKeys(clusterKeys: ClusterKeys): boolean {
    return this.#driver.run((now) => {
      const { group } = this.#replica;
      const taken = group.keyring.take(clusterKeys);
      if (taken) group.beatSoon(now);
      return taken;
    });
  }

  status(): ReplicaStatus {
    return replicaStatus(this.#replica, {
      now: this.#options.host.now(),
      name: this.#options.name,
      own: this.#own,
      viewChanges: this.#viewChanges,
      unsent: this.#unsent,
      unfound: this.#finders.failures,
      writes: this.#writes,
    });
  }

  get(table: number, key: Uint8Array): CacheEntry | undefined {
    return this.#replica.cache.get(table, key, this.#wall());
  }

  add(table: number, key: Uint8Array, value: Uint8Array, expiresAt: number): Promise<Replicated> {
    return this.addAll([{ table, key, value, expiresAt }]);
  }

  addAll(records: readonly NewRecord[]): Promise<Replicated> {
    return this.#write((now) => this.#replica.put(records, now));
  }

  update(table: number, key: Uint8Array, value: Uint8Array, at: number): Promise<Replicated> {
    return this.add(table, key, value, at);
  }

  delete(table: number, key: Uint8Array): Promise<Replicated> {
    return this.#write((now) => this.#replica.remove(table, key, now));
  }

  purge(): Promise<Replicated> {
    return this.#write((now) => this.#replica.purge(now));
  }

  watch(table: number, listener: (change: RemoteChange) => void): () => void {
    const listeners = this.#watchers.get(table) ?? new Set();
    this.#watchers.set(table, listeners.add(listener));
    this.#replica.watched.add(table);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#replica.watched.delete(table);
    };
  }

  list(table: number, limit: number): readonly ListedEntry[] {
    return this.#replica.cache.list(table, limit, this.#wall());
  }

  #wall(): number {
    const { host } = this.#options;
    return host.now() + host.wallOffset();
  }

  #write(start: (now: number) => WriteStart): Promise<Replicated> {
    if (this.#closed) {
      return Promise.reject(new ReplicaError('closed', 'the replica is shutting down'));
    }
    return new Promise((resolve, reject) => {
      this.#driver.run((now) => {
        const started = start(now);
        if ('ticket' in started) this.#waiting.set(started.ticket, { resolve, reject });
        else reject(refusal(started.refused));
      });
    });
  }

  #handle(event: ReplicaEvent): void {
    const { log } = this.#options;
    if (event.kind === 'ended') this.#end(event.ticket, event.outcome);
    else if (event.kind === 'changed') this.#tell(event);
    else if (event.kind === 'state') {
      log.info({ state: event.state, reason: event.reason }, 'replica state');
      this.#options.stateChanged(event.state, event.reason);
    } else if (event.kind === 'joined' || event.kind === 'gone') {
      this.#viewChanges += 1;
      const reason = event.kind === 'gone' ? { reason: event.reason } : {};
      const { incarnation, beat } = event.peer;
      const alone = this.#replica.group.members.length === 0;
      log.info({ member: beat?.name, incarnation, ...reason, alone }, `member ${event.kind}`);
    } else if (event.kind === 'exchanged') {
      const { failure, received, sent } = event.result;
      const fields = { member: event.name, received, sent, failure };
      if (failure === undefined) log.info(fields, 'records exchanged');
      else log.warn(fields, 'exchange of records failed');
    } else if (event.kind === 'restarted') {
      this.#viewChanges += 1;
      log.warn({ reason: event.reason }, 'joining anew as another incarnation');
    } else if (event.kind === 'heard') {
      const { incarnation, beat } = event.peer;
      const { by } = event;
      const found = by === 'unicast' ? 'its multicast comes no more' : 'its multicast comes again';
      log.info({ member: beat?.name, incarnation, by }, found);
    } else if (event.kind === 'missed') {
      log.warn({ member: event.peer.beat?.name }, 'a part of its writes was missed');
    } else if (event.kind === 'rejoined') {
      log.warn({}, 'multicast does not come: joining the multicast group anew');
    } else if (event.kind === 'dropped') {
      const { reason, from } = event;
      const why = reason === 'key' ? ': the key that sealed it is not in the ring here' : '';
      log.warn({ reason, from }, `segment dropped${why}`);
    } else {
      const { address, port } = event.by;
      const name = JSON.stringify(this.#options.name);
      this.#fail(new ReplicaError('name', `the name ${name} is in use by ${address}:${port}`));
    }
  }

  #end(ticket: number, outcome: 'replicated' | 'timeout' | 'restarted'): void {
    this.#writes[outcome] += 1;
    const waiting = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    if (outcome === 'replicated') {
      waiting?.resolve({ members: this.#replica.group.members.length });
    } else if (outcome === 'timeout') {
      waiting?.reject(new ReplicaError('timeout', 'not all members have applied the write'));
    } else {
      waiting?.reject(new ReplicaError('restarted', 'this member is joining its group anew'));
    }
  }

  #tell({ table, key, change }: ReplicaEvent & { kind: 'changed' }): void {
    for (const listener of this.#watchers.get(table) ?? []) listener({ kind: change, key });
  }

  #opened(own: Endpoint): void {
    this.#own = own;
    this.#driver.run((now) => this.#replica.open(own, now));
    this.#finders.start(own);
    this.#started?.resolve();
    this.#started = undefined;
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    if (this.#started) this.#started.reject(error);
    else this.#options.failed(error);
    this.#started = undefined;
  }
}

function refusal(reason: 'full' | 'expired'): ReplicaError {
  if (reason === 'full') return new ReplicaError('full', 'the cache or its send queue is full');
  return new ReplicaError('expired', 'the record has expired already');
}
