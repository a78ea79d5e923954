import {
  ReplicaError,
  type CacheEntry,
  type ListedEntry,
  type NewRecord,
  type RemoteChange,
  type Replicated,
  type SharedCache,
} from '@argyle/replica';

interface Change {
  readonly table: number;
  readonly key: Uint8Array;
  readonly entry: CacheEntry | undefined;
  readonly version: number;
}

interface Delivery {
  readonly to: FakeCache;
  readonly changes: readonly Change[];
  readonly applied: () => void;
}

/**
 * The caches of a cluster in one process, without a network: what one writes, the others apply when
 * it is delivered, by itself or when a test says so.
 */
export class FakeCluster {
  readonly members: FakeCache[] = [];
  readonly #deliveries: Delivery[] = [];
  #automatic = true;
  #version = 0;
  /** Messages that were relayed: what a real group would send. */
  writes = 0;

  join(): FakeCache;
  join<Member extends FakeCache>(member: Member): Member;
  join(member = new FakeCache(this)): FakeCache {
    this.members.push(member);
    return member;
  }

  /** Nothing is delivered, and so no write ends, until `deliver` or `release`. */
  hold(): void {
    this.#automatic = false;
  }

  release(): void {
    this.#automatic = true;
    this.deliver();
  }

  /** Everything that waits, or only what waits for one member. */
  deliver(to?: FakeCache): void {
    const due = this.#deliveries.filter((delivery) => !to || delivery.to === to);
    for (const delivery of due) {
      this.#deliveries.splice(this.#deliveries.indexOf(delivery), 1);
      delivery.to.apply(delivery.changes, 'remote');
      delivery.applied();
    }
  }

  async relay(from: FakeCache, changes: readonly Omit<Change, 'version'>[]): Promise<Replicated> {
    this.writes += 1;
    const versioned = changes.map((change) => ({ ...change, version: (this.#version += 1) }));
    from.apply(versioned, 'own');
    const others = this.members.filter((member) => member !== from);
    const applied = others.map(
      (to) =>
        new Promise<void>((resolve) => {
          this.#deliveries.push({ to, changes: versioned, applied: resolve });
        }),
    );
    if (this.#automatic) setImmediate(() => this.#automatic && this.deliver());
    await Promise.all(applied);
    return { members: others.length };
  }
}

export class FakeCache implements SharedCache {
  ready = true;
  /** Every write is refused, as by a cache without room. */
  full = false;
  readonly #cluster: FakeCluster;
  readonly #records = new Map<string, Change>();
  readonly #watchers = new Set<{ table: number; listener: (change: RemoteChange) => void }>();

  constructor(cluster: FakeCluster) {
    this.#cluster = cluster;
  }

  get(table: number, key: Uint8Array): CacheEntry | undefined {
    const entry = this.#records.get(nameOf(table, key))?.entry;
    return entry && entry.expiresAt > Date.now() ? entry : undefined;
  }

  add(table: number, key: Uint8Array, value: Uint8Array, expiresAt: number): Promise<Replicated> {
    return this.addAll([{ table, key, value, expiresAt }]);
  }

  update(
    table: number,
    key: Uint8Array,
    value: Uint8Array,
    expiresAt: number,
  ): Promise<Replicated> {
    return this.addAll([{ table, key, value, expiresAt }]);
  }

  addAll(records: readonly NewRecord[]): Promise<Replicated> {
    if (this.full) return Promise.reject(new ReplicaError('full', 'no room'));
    return this.#cluster.relay(
      this,
      records.map(({ table, key, value, expiresAt }) => {
        const entry = { value: Uint8Array.from(value), expiresAt };
        return { table, key: Uint8Array.from(key), entry };
      }),
    );
  }

  delete(table: number, key: Uint8Array): Promise<Replicated> {
    return this.#cluster.relay(this, [{ table, key: Uint8Array.from(key), entry: undefined }]);
  }

  purge(): Promise<Replicated> {
    for (const { table, key } of this.#records.values()) void this.delete(table, key);
    return Promise.resolve({ members: 0 });
  }

  watch(table: number, listener: (change: RemoteChange) => void): () => void {
    const watcher = { table, listener };
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  list(table: number, limit: number): readonly ListedEntry[] {
    return [...this.#records.values()]
      .filter((record) => record.table === table && this.get(table, record.key))
      .flatMap(({ key, entry }) => (entry ? [{ key, ...entry }] : []))
      .slice(0, limit);
  }

  apply(changes: readonly Change[], origin: 'own' | 'remote'): void {
    for (const change of changes) {
      const name = nameOf(change.table, change.key);
      if ((this.#records.get(name)?.version ?? 0) < change.version) this.#records.set(name, change);
      if (origin === 'own') continue;
      for (const { table, listener } of [...this.#watchers]) {
        const kind = change.entry ? 'put' : 'delete';
        if (table === change.table) listener({ kind, key: change.key });
      }
    }
  }
}

function nameOf(table: number, key: Uint8Array): string {
  return `${table} ${Buffer.from(key).toString('hex')}`;
}
