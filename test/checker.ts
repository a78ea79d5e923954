import assert from 'node:assert/strict';
import { type CacheRecord, compareVersions, type ScanCursor } from '@argyle/cache';
import type { Peer } from '@argyle/multicast';
import type { ReplicaEvent } from '@argyle/replica';
import { hex, type Life, type SimulatedCluster, TABLE } from './simulated-cluster.ts';

/** A write under way: what its author holds of the key since. Undefined for a purge. */
interface Write {
  readonly life: Life;
  readonly ticket: number;
  readonly key: Uint8Array | undefined;
  readonly version: Uint8Array;
  /** Wall time; when it has come, the write may have been refused as expired. */
  readonly expiresAt: number;
  /** The author's last sequence before it: whoever joined by then must apply it. */
  readonly after: number;
}

/** Bounds that every member keeps at every step. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;
const IN_FLIGHT_MAX = 256;

/**
 * What must always hold (the numbers are those of the invariants in packages/README.md), checked
 * after every step of a simulated cluster. Rare events are counted, so that a run of many seeds can
 * prove that it has seen them.
 */
export class Checker {
  readonly seen = new Map<string, number>();
  readonly #cluster: SimulatedCluster;
  readonly #versions = new Map<Life, Map<string, CacheRecord>>();
  readonly #values = new Map<string, CacheRecord>();
  readonly #epochs = new Map<Life, Uint8Array>();
  readonly #waiting = new Set<Write>();
  /** Every pair of key (an incarnation's) and nonce (a packet number) that sealed something. */
  readonly #sealed = new Set<string>();
  /** Incarnations whose member stood still for too long: nothing more may be sealed as theirs. */
  readonly #lapsed = new Set<string>();
  /** Every version that some member wrote. */
  readonly #written = new Set<string>();
  /** The latest time that any member's clock has shown: what expires later was never expired. */
  #latestWall = 0;
  #stepped = 0;

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
    cluster.simulator.network.tap = (bytes) => this.#checkNonce(bytes);
  }

  wrote(write: Write): void {
    this.#waiting.add(write);
    this.#written.add(hex(write.version));
  }

  stoodStill(life: Life): void {
    this.#count('stood still');
    this.#lapsed.add(life.replica.group.incarnation);
  }

  crashed(life: Life): void {
    for (const write of this.#waiting) if (write.life === life) this.#waiting.delete(write);
  }

  observe(life: Life, event: ReplicaEvent): void {
    this.#readClocks();
    if (event.kind === 'ended') {
      this.#count(`write ${event.outcome}`);
      for (const write of this.#waiting) {
        if (write.life !== life || write.ticket !== event.ticket) continue;
        this.#waiting.delete(write);
        if (event.outcome === 'replicated') this.#checkApplied(write);
      }
    } else if (event.kind === 'gone') this.#count(`gone: ${event.reason}`);
    else if (event.kind === 'restarted') this.#count('restarted');
    else if (event.kind === 'exchanged') {
      this.#count(event.result.failure === undefined ? 'exchanged' : 'exchange failed');
    } else if (event.kind === 'dropped') this.#count(`dropped: ${event.reason}`);
    else if (event.kind === 'joined') this.#checkAlive(life, event.peer.incarnation);
  }

  /** Cheap checks at every step; the whole contents every two hundredth. */
  step(): void {
    this.#stepped += 1;
    this.#readClocks();
    const whole = this.#stepped % 200 === 0;
    for (const life of this.#cluster.alive) {
      const { outbound } = life.replica.group;
      assert(outbound.queueBytes <= QUEUE_BYTES_MAX, '7: the queue is within its bound');
      const inFlight = outbound.sequence - outbound.acknowledged;
      assert(inFlight <= IN_FLIGHT_MAX, `7: ${inFlight} segments in flight`);
      for (const peer of life.replica.group.members) this.#checkStream(peer);
      if (whole) this.#checkContents(life);
    }
  }

  /** After everything settled. */
  settled(): void {
    assert.equal(this.#waiting.size, 0, '12: every write has ended');
    const [first, ...others] = this.#cluster.alive.map((life) => this.#contents(life));
    for (const contents of others) assert.deepEqual(contents, first, '13: all replicas are equal');
  }

  #readClocks(): void {
    const { alive, simulator } = this.#cluster;
    for (const { replica } of alive) {
      this.#latestWall = Math.max(this.#latestWall, replica.wall(simulator.now));
    }
  }

  #count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  /** 1: what was reported as replicated is applied by every member of the writer's view. */
  #checkApplied({ life, key, version, after, expiresAt }: Write): void {
    const held = (member: Life) => {
      const { cache } = member.replica;
      const ofKey = (key && cache.version(TABLE, key)) ?? cache.purgeEpoch;
      return compareVersions(ofKey, cache.purgeEpoch) < 0 ? cache.purgeEpoch : ofKey;
    };
    if (expiresAt <= this.#latestWall) return;
    for (const { incarnation, joinedAt } of life.replica.group.members) {
      if (joinedAt > after) continue;
      const other = this.#cluster.alive.find(
        ({ replica }) => replica.group.incarnation === incarnation,
      );
      if (!other) continue;
      const applied = compareVersions(held(other), version) >= 0;
      assert(applied, `1: ${other.name} has not applied the write`);
    }
  }

  /** 2, 3, 10: a stream is applied in order, and no further than its sender has sent it. */
  #checkStream({ incarnation, inbound }: Peer): void {
    if (!inbound) return;
    const sender = this.#cluster.alive.find(
      ({ replica }) => replica.group.incarnation === incarnation,
    );
    const sent = sender?.replica.group.outbound.sequence ?? Infinity;
    const ordered = inbound.applied <= inbound.received && inbound.received <= sent;
    assert(ordered, `2: applied ${inbound.applied}, received ${inbound.received}, sent ${sent}`);
  }

  /** 14: no pair of key and nonce seals two segments. */
  #checkNonce(segment: Uint8Array): void {
    const pair = hex(segment.subarray(16, 40));
    assert(!this.#sealed.has(pair), `14: ${pair} sealed twice`);
    assert(!this.#lapsed.has(pair.slice(0, 32)), 'it stood still, and sends as who it was');
    this.#sealed.add(pair);
  }

  /** 16: nobody is admitted who was not alive after the admitting member started. */
  #checkAlive(life: Life, incarnation: string): void {
    const alive = this.#cluster.alive.some(
      ({ replica }) => replica.group.incarnation === incarnation,
    );
    if (!alive) this.#count('joined: just died');
    assert(life.replica.group.incarnation !== incarnation);
  }

  #checkContents(life: Life): void {
    const { cache } = life.replica;
    const now = life.replica.wall(this.#cluster.simulator.now);
    const versions = this.#versions.get(life) ?? new Map<string, CacheRecord>();
    this.#versions.set(life, versions);
    const epoch = this.#epochs.get(life);
    if (epoch) assert(compareVersions(cache.purgeEpoch, epoch) >= 0, '5: the epoch only rises');
    this.#epochs.set(life, cache.purgeEpoch);
    for (const [key, record] of this.#contents(life)) {
      const before = versions.get(key);
      // What has expired is forgotten, and something older that lives longer may then be learnt.
      if (before && !(before.expiresAt <= this.#latestWall && !before.tombstone)) {
        assert(compareVersions(record.version, before.version) >= 0, '4: versions only rise');
      }
      versions.set(key, record);
      assert(this.#written.has(hex(record.version)), '3: somebody wrote what is held');
      assert(compareVersions(record.version, cache.purgeEpoch) > 0, '5: nothing purged is held');
      const name = `${key} ${hex(record.version)}`;
      const known = this.#values.get(name);
      if (!known) this.#values.set(name, record);
      else if (known.tombstone === record.tombstone) {
        const equal = Buffer.compare(record.value, known.value) === 0;
        assert(equal, '4: equal versions, equal values');
      } else {
        // A record that superseded a longer life goes on as a tombstone when it has expired.
        const { expiresAt } = known.tombstone ? record : known;
        assert(expiresAt <= this.#latestWall, '4: equal versions, one of them dead');
      }
      const hit = cache.get(record.table, record.key, now);
      assert.equal(
        hit !== undefined,
        !record.tombstone && record.expiresAt > now,
        '6: no expired reads',
      );
    }
  }

  /** All that a scan gives, by key, the newest of each. */
  #contents(life: Life) {
    const { cache } = life.replica;
    const now = life.replica.wall(this.#cluster.simulator.now);
    const contents = new Map<string, ReturnType<typeof cache.scan>['records'][number]>();
    let cursor: ScanCursor | undefined;
    do {
      const { records, next } = cache.scan(cursor, undefined, 1_000_000, now);
      for (const record of records) {
        // How long a tombstone stays may differ by what else its holder saw of the key.
        const expiresAt = record.tombstone ? 0 : record.expiresAt;
        contents.set(`${record.table} ${hex(record.key)}`, { ...record, expiresAt });
      }
      cursor = next;
    } while (cursor !== undefined);
    return contents;
  }
}
