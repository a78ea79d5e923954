import assert from 'node:assert/strict';
import { type CacheRecord, compareVersions, type ScanCursor } from '@argyle/cache';
import { hex, type Life, TOMBSTONE_SKEW_MS } from './simulated-cluster.ts';

/** What a replica may hold, seen from one look to the next (invariants 3 to 6). */
export class ContentsChecker {
  readonly #records = new Map<Life, Map<string, CacheRecord>>();
  readonly #values = new Map<string, CacheRecord>();
  readonly #epochs = new Map<Life, Uint8Array>();
  /** Every version that some member wrote: when what it wrote expires; undefined for a delete. */
  readonly #written = new Map<string, number | undefined>();
  /** From when on nobody need remember it. */
  readonly #forgotten = new Map<string, number>();

  /** `expiresAt`: of a delete, that of what its author deleted. */
  wrote(version: Uint8Array, expiresAt: number, deletes: boolean): void {
    this.#written.set(hex(version), deletes ? undefined : expiresAt);
    this.#forgotten.set(hex(version), deletes ? expiresAt + TOMBSTONE_SKEW_MS : expiresAt);
  }

  /** `latestWall`: the latest time that any clock has shown. What expires later never expired. */
  check(life: Life, now: number, latestWall: number): void {
    const { cache } = life.replica;
    const records = this.#records.get(life) ?? new Map<string, CacheRecord>();
    this.#records.set(life, records);
    const epoch = this.#epochs.get(life);
    if (epoch) assert(compareVersions(cache.purgeEpoch, epoch) >= 0, '5: the epoch only rises');
    this.#epochs.set(life, cache.purgeEpoch);
    const contents = contentsOf(life, now);
    for (const [key, { table, key: bytes }] of records) {
      if (!contents.has(key)) assert(!cache.get(table, bytes, now), '6: nothing expired is served');
    }
    for (const [key, record] of contents) {
      const before = records.get(key);
      // What has expired is forgotten, and something older that lives longer may then be learnt; so
      // is a delete, when what its author deleted would have expired.
      const wasUntil = (before && this.#forgotten.get(hex(before.version))) ?? Infinity;
      if (before && wasUntil > latestWall) {
        assert(compareVersions(record.version, before.version) >= 0, '4: versions only rise');
      }
      records.set(key, record);
      assert(compareVersions(record.version, cache.purgeEpoch) > 0, '5: nothing purged is held');
      this.#checkRecord(key, record, latestWall);
      const hit = cache.get(record.table, record.key, now);
      const served = !record.tombstone && record.expiresAt > now;
      assert.equal(hit !== undefined, served, '6: what is held is served until it expires');
    }
  }

  #checkRecord(key: string, record: CacheRecord, latestWall: number): void {
    assert(this.#written.has(hex(record.version)), '3: somebody wrote what is held');
    const expiresAt = this.#written.get(hex(record.version)) ?? 0;
    assert(record.tombstone || record.expiresAt <= expiresAt, '6: no expiry is lengthened');
    const name = `${key} ${hex(record.version)}`;
    const known = this.#values.get(name);
    if (!known) this.#values.set(name, record);
    else if (known.tombstone === record.tombstone) {
      const equal = Buffer.compare(record.value, known.value) === 0;
      assert(equal, '4: equal versions, equal values');
    } else {
      // A record that superseded a longer life goes on as a tombstone when it has expired.
      const { expiresAt: endsAt } = known.tombstone ? record : known;
      assert(endsAt <= latestWall, '4: equal versions, one of them dead');
    }
  }
}

/** All that a scan gives, by key, the newest of each. */
export function contentsOf(life: Life, now: number): Map<string, CacheRecord> {
  const { cache } = life.replica;
  const contents = new Map<string, CacheRecord>();
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
