import assert from 'node:assert/strict';
import {
  type CacheRecord,
  compareAt,
  coversAt,
  entryBytes,
  EXPIRES_AT_MAX,
  expiresAtAt,
  GAP,
  groupEnd,
  KEY_BYTES_MAX,
  RECORD,
  sizeAt,
  stateAt,
  TOMBSTONE,
  VALUE_BYTES_MAX,
  valueAt,
  versionAt,
  writeCovers,
  writeEntry,
} from './entry.ts';
import { expire } from './expiry.ts';
import { list, scan, type ScanCursor, type ScanPage } from './scan.ts';
import { Store } from './store.ts';
import { compareVersions, VERSION_BYTES } from './version.ts';

export interface CacheOptions {
  /**
   * Bound on the memory for entries, which is taken as they come; at most 16 GiB. The index takes
   * 10 to 20 bytes an entry besides. Too little: writes are refused as 'full'.
   */
  readonly capacityBytes: number;
  /** 16 bytes, the same in the whole cluster and secret: the key of the digests. */
  readonly digestKey: Uint8Array;
  /** The kernel's random source (or the seed): the placement of keys, of this process alone. */
  readonly random: (sizeBytes: number) => Uint8Array;
  /** How far members' wall clocks may lie apart: a tombstone lives that much longer. */
  readonly tombstoneSkewMs: number;
  /**
   * A power of two, at most a quarter of the capacity; default 256 KiB. Greater: longer steps of
   * expiry and compaction. Less than 128 KiB: not every permitted value fits.
   */
  readonly segmentBytes?: number;
}

/**
 * `same`: that write is held already. `stale`: a newer one is. `purged`: not newer than the purge
 * epoch. `expired`: its life is over; an older write of the key is gone with it. `full`: nothing
 * has changed. `oversize`: see KEY_BYTES_MAX and VALUE_BYTES_MAX.
 */
export type PutOutcome = 'stored' | 'same' | 'stale' | 'purged' | 'expired' | 'full' | 'oversize';

export interface CacheHit {
  readonly value: Uint8Array;
  readonly expiresAt: number;
  readonly version: Uint8Array;
}

/** For tests, which look into the memory; not exported from the package. */
export let storeOf: (cache: Cache) => Store;

/**
 * The cache memory: records by table and key, each with an expiry and a version. Synchronous, and
 * without a clock: `nowWall` and `expiresAt` are wall milliseconds since 1970.
 *
 * Reading: `get`, `version`, `list`, `scan`. Writing: `put`, `remove`, `purge`; the greater version
 * wins whatever the order of arrival. Housekeeping: call `expire` when `nextExpiry` has come.
 * Comparing: `digest`, `bucketDigests`. Arguments are copied; what is returned is the caller's.
 */
export class Cache {
  readonly capacityBytes: number;
  readonly #store: Store;
  #purgeEpoch = new Uint8Array(VERSION_BYTES);

  static {
    storeOf = (cache) => cache.#store;
  }

  constructor(options: CacheOptions) {
    assert(options.digestKey.length === 16, 'digestKey: 16 bytes');
    this.capacityBytes = options.capacityBytes;
    this.#store = new Store({ segmentBytes: SEGMENT_BYTES, ...options });
  }

  /** Never an expired record, never a tombstone. */
  get(table: number, key: Uint8Array, nowWall: number): CacheHit | undefined {
    const { segments } = this.#store;
    const location = this.#store.find(table, key);
    if (location === 0) return undefined;
    const segment = segments.of(location);
    const at = segments.offset(location);
    if (stateAt(segment.view, at) !== RECORD) return undefined;
    const expiresAt = expiresAtAt(segment.view, at);
    if (expiresAt <= nowWall) return undefined;
    return { value: valueAt(segment, at), expiresAt, version: versionAt(segment.bytes, at) };
  }

  /** Of what is held: a record, expired or not, or a tombstone. */
  version(table: number, key: Uint8Array): Uint8Array | undefined {
    const { segments } = this.#store;
    const location = this.#store.find(table, key);
    if (location === 0) return undefined;
    return versionAt(segments.of(location).bytes, segments.offset(location));
  }

  put(
    table: number,
    key: Uint8Array,
    value: Uint8Array,
    expiresAt: number,
    version: Uint8Array,
    nowWall: number,
  ): PutOutcome {
    const sizeBytes = entryBytes(key.length, value.length);
    if (value.length > VALUE_BYTES_MAX || !this.#keyFits(key, sizeBytes)) return 'oversize';
    const store = this.#store;
    const held = store.find(table, key);
    const refused = this.#refuse(held, table, expiresAt, version);
    if (refused) return refused;
    const end = Math.floor(Math.min(expiresAt, EXPIRES_AT_MAX));
    const covers = this.#covers(held, end);
    if (end <= nowWall) {
      if (held !== 0) this.#bury(held, version, covers);
      return 'expired';
    }
    const segment = store.segments.room(sizeBytes, end - nowWall);
    if (!segment) {
      const freed = this.#makeRoom(sizeBytes, end - nowWall, nowWall);
      return freed ? this.put(table, key, value, expiresAt, version, nowWall) : 'full';
    }
    writeEntry(segment, RECORD, table, key, value, end, covers, version);
    store.enter(segment, held);
    return 'stored';
  }

  /**
   * Leaves a tombstone, also where no record is, until the latest expiry seen of the key (this one
   * or a held record's) plus the skew. Over a held entry it needs no memory and is never 'full'.
   */
  remove(
    table: number,
    key: Uint8Array,
    expiresAt: number,
    version: Uint8Array,
    nowWall: number,
  ): PutOutcome {
    const sizeBytes = entryBytes(key.length, 0);
    if (!this.#keyFits(key, sizeBytes)) return 'oversize';
    const store = this.#store;
    const held = store.find(table, key);
    const refused = this.#refuse(held, table, expiresAt, version);
    if (refused) return refused;
    const covers = this.#covers(held, Math.min(expiresAt, EXPIRES_AT_MAX));
    if (held !== 0) {
      this.#bury(held, version, covers);
      return 'stored';
    }
    const lifeMs = store.tombstoneEnd(covers) - nowWall;
    if (lifeMs <= 0) return 'expired';
    const segment = store.segments.room(sizeBytes, lifeMs);
    if (!segment) {
      const freed = this.#makeRoom(sizeBytes, lifeMs, nowWall);
      return freed ? this.remove(table, key, expiresAt, version, nowWall) : 'full';
    }
    writeEntry(segment, TOMBSTONE, table, key, NO_VALUE, 0, covers, version);
    store.enter(segment, 0);
    return 'stored';
  }

  /**
   * Every record and tombstone whose version is not greater dies, now and later. False: the epoch
   * was there already. Looks at everything that is held, about 0.2 µs an entry.
   */
  purge(epoch: Uint8Array): boolean {
    assert(epoch.length === VERSION_BYTES, 'epoch: a version');
    if (compareVersions(epoch, this.#purgeEpoch) <= 0) return false;
    this.#purgeEpoch = new Uint8Array(epoch);
    const store = this.#store;
    const { log } = store.segments;
    for (let i = log.length - 1; i >= 0; i -= 1) {
      const segment = log[i]!;
      const { bytes, view } = segment;
      for (let at = 0; at < segment.end; at += sizeAt(view, at)) {
        if (stateAt(view, at) !== GAP && compareAt(bytes, at, epoch) <= 0) store.drop(segment, at);
      }
      store.segments.freeIfEmpty(segment);
    }
    store.segments.renewDueAt();
    return true;
  }

  /** Zero until the first purge. */
  get purgeEpoch(): Uint8Array {
    return this.#purgeEpoch.slice();
  }

  /**
   * Removes what is due, a segment at a time, until it has looked at `budget` entries; answers how
   * many left. There is more to do while `nextExpiry` has come. An entry is due at the end of the
   * second in which it expires; one that supersedes a longer life becomes a tombstone first.
   */
  expire(nowWall: number, budget: number): number {
    return expire(this.#store, nowWall, budget);
  }

  /** Infinity when nothing is held. It may come when nothing is due any more, never too late. */
  get nextExpiry(): number {
    return this.#store.segments.dueAt;
  }

  /**
   * 8 bytes over everything held and the purge epoch: equal on caches that hold the same, whatever
   * the order of events, the placement or the size of segments. What `expire` has not yet removed
   * is held; expiries are not in it.
   */
  digest(): Uint8Array {
    return this.#store.digests.total(this.#purgeEpoch);
  }

  /** 8 bytes for each of the BUCKETS; the bucket of a key is the same in the whole cluster. */
  bucketDigests(): Uint8Array {
    return this.#store.digests.buckets();
  }

  /**
   * For state transfer: begin with undefined, go on with `next`. Sees every record and tombstone
   * that is held all the while, whatever is written, expired or moved between calls; some may come
   * twice. A key that is overwritten meanwhile is seen too, unless memory is short. `buckets`: 32
   * bytes, bit n of byte m is bucket 8m + n; undefined for all. The order is that of writing.
   */
  scan(
    cursor: ScanCursor | undefined,
    buckets: Uint8Array | undefined,
    limitBytes: number,
    nowWall: number,
  ): ScanPage {
    return scan(this.#store, cursor, buckets, limitBytes, nowWall);
  }

  /** Up to `limit` live records of one table. Looks at everything that is held, if need be. */
  list(table: number, limit: number, nowWall: number): CacheRecord[] {
    return list(this.#store, table, limit, nowWall);
  }

  /**
   * Room for all of these: no put of them will be 'full' now. Of entries up to a sixteenth of a
   * segment it says no from 15/16 of the capacity on; the rest is for other members' writes.
   */
  fits(entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]): boolean {
    let sizeBytes = this.#store.bytes;
    let largest = 0;
    for (const { key, value } of entries) {
      const entry = entryBytes(key.length, value.length);
      if (value.length > VALUE_BYTES_MAX || !this.#keyFits(key, entry)) return false;
      sizeBytes += entry;
      largest = Math.max(largest, entry);
    }
    return sizeBytes <= this.#store.assuredBytes(largest);
  }

  /** Held, the expired ones that `expire` has not yet removed among them. */
  get records(): number {
    return this.#store.records;
  }

  get tombstones(): number {
    return this.#store.tombstones;
  }

  /** What records and tombstones take of the capacity. */
  get bytes(): number {
    return this.#store.bytes;
  }

  #keyFits(key: Uint8Array, sizeBytes: number): boolean {
    return key.length <= KEY_BYTES_MAX && sizeBytes <= this.#store.segments.segmentBytes;
  }

  /** A write that comes too late still counts for how long its successor stays. */
  #refuse(
    held: number,
    table: number,
    expiresAt: number,
    version: Uint8Array,
  ): 'same' | 'stale' | 'purged' | undefined {
    assert(table >= 0 && table <= 255 && Number.isInteger(table), 'table: one byte');
    assert(version.length === VERSION_BYTES, 'version: 16 bytes');
    assert(expiresAt >= 0, 'expiresAt: milliseconds since 1970');
    if (compareVersions(version, this.#purgeEpoch) <= 0) return 'purged';
    if (held === 0) return undefined;
    const { segments } = this.#store;
    const segment = segments.of(held);
    const at = segments.offset(held);
    const order = compareAt(segment.bytes, at, version);
    if (order < 0) return undefined;
    if (order === 0) return 'same';
    writeCovers(segment.view, at, this.#covers(held, Math.min(expiresAt, EXPIRES_AT_MAX)));
    return 'stale';
  }

  #covers(held: number, expiresAt: number): number {
    if (held === 0) return groupEnd(expiresAt);
    const { segments } = this.#store;
    const heldCovers = coversAt(segments.of(held).view, segments.offset(held));
    return Math.max(heldCovers, groupEnd(expiresAt));
  }

  #bury(held: number, version: Uint8Array, covers: number): void {
    const { segments } = this.#store;
    this.#store.bury(segments.of(held), segments.offset(held), version, covers);
  }

  /** First what has expired, then what compaction gains. */
  #makeRoom(sizeBytes: number, lifeMs: number, nowWall: number): boolean {
    const store = this.#store;
    while (this.nextExpiry <= nowWall) {
      this.expire(nowWall, 1);
      if (store.segments.room(sizeBytes, lifeMs)) return true;
    }
    return store.compact(sizeBytes, lifeMs);
  }
}

const SEGMENT_BYTES = 256 * 1024;
const NO_VALUE = new Uint8Array(0);
