import type { Cache, ScanCursor } from '@argyle/cache';
import type { TransferRecord } from './message.ts';
import { DIGESTS_BYTES } from './message.ts';

const CHUNK_BYTES = 64 * 1024;
/** Chunks given to a link that has not said that they left. */
const OUTSTANDING_MAX = 2;
/**
 * Between chunks: taking one costs the receiver about 2 ms, so that half of its time is left for
 * writes. Less: a transfer makes writers wait. More: joining takes longer (16 MB/s).
 */
const CHUNK_INTERVAL_MS = 4;
const BUCKETS = 256;
const DIGEST_BYTES = DIGESTS_BYTES / BUCKETS;

/** The records of some buckets, in chunks, no faster than the link and the receiver take them. */
export class RecordFlow {
  readonly #cache: Cache;
  readonly #buckets: Uint8Array;
  #cursor: ScanCursor | undefined;
  #outstanding = 0;
  #ended = false;
  #nextAt = -Infinity;

  constructor(cache: Cache, buckets: Uint8Array) {
    this.#cache = cache;
    this.#buckets = buckets;
    this.#ended = !buckets.some((bits) => bits !== 0);
  }

  /** All were given out. */
  get ended(): boolean {
    return this.#ended;
  }

  /** When more can be given out; Infinity while the link must drain, or when all were. */
  get deadline(): number {
    return this.#ended || this.#outstanding >= OUTSTANDING_MAX ? Infinity : this.#nextAt;
  }

  drained(): void {
    this.#outstanding = 0;
  }

  /** Undefined before `deadline`. */
  next(now: number, nowWall: number): readonly TransferRecord[] | undefined {
    while (this.deadline <= now) {
      const { records, next } = this.#cache.scan(this.#cursor, this.#buckets, CHUNK_BYTES, nowWall);
      this.#cursor = next;
      this.#ended = next === undefined;
      if (records.length === 0) continue;
      this.#outstanding += 1;
      this.#nextAt = now + CHUNK_INTERVAL_MS;
      return records.map((record) => (record.tombstone ? { ...record, value: undefined } : record));
    }
    return undefined;
  }
}

/** A bit set of the digest buckets that differ, 32 bytes, bucket 0 in the lowest bit of byte 0. */
export function differingBuckets(ours: Uint8Array, theirs: Uint8Array): Uint8Array {
  const buckets = new Uint8Array(BUCKETS / 8);
  for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
    for (let at = bucket * DIGEST_BYTES; at < (bucket + 1) * DIGEST_BYTES; at += 1) {
      if (ours[at] === theirs[at]) continue;
      buckets[bucket >> 3] = (buckets[bucket >> 3] ?? 0) | (1 << (bucket & 7));
      break;
    }
  }
  return buckets;
}
