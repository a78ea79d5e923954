import { crc32 } from 'node:zlib';
import { BUCKET, contentEndAt, DIGEST, KEY, VERSION } from './entry.ts';
import { HalfSipHash } from './half-sip-hash.ts';
import type { Segment } from './segments.ts';

export const BUCKETS = 256;
/** Of the whole, and of one bucket. */
export const DIGEST_BYTES = 8;

/**
 * What two replicas compare: for each bucket the XOR of its entries' keyed hashes, kept up with
 * every change. Bucket and hash depend on nothing but the entry and the cluster's key. Each entry
 * carries both, so that removing it costs no hashing. Of the value they know the CRC: a version has
 * one value, so that what they are to find in it is damage.
 */
export class Digests {
  readonly #sums = new DataView(new ArrayBuffer(BUCKETS * DIGEST_BYTES));
  readonly #contents: HalfSipHash;
  readonly #keys: HalfSipHash;

  /** `key`: 16 bytes; half is for the contents, half for choosing buckets. */
  constructor(key: Uint8Array) {
    this.#contents = new HalfSipHash(key.subarray(0, 8));
    this.#keys = new HalfSipHash(key.subarray(8, 16));
  }

  /** Writes bucket and digest into the entry, and adds it. */
  enter(segment: Segment, at: number): void {
    const { bytes, view } = segment;
    const keyEnd = at + KEY + bytes[at + 1]!;
    this.#keys.hash(0, view, at + KEY - 1, keyEnd);
    bytes[at + BUCKET] = this.#keys.low;
    const value = bytes.subarray(keyEnd, contentEndAt(view, at));
    this.#contents.hash(crc32(value, view.getUint32(at, true)) | 0, view, at + VERSION, keyEnd);
    view.setInt32(at + DIGEST, this.#contents.low, true);
    view.setInt32(at + DIGEST + 4, this.#contents.high, true);
    this.#toggle(view, at);
  }

  leave(segment: Segment, at: number): void {
    this.#toggle(segment.view, at);
  }

  buckets(): Uint8Array {
    return new Uint8Array(this.#sums.buffer).slice();
  }

  /** Over all buckets and the purge epoch. */
  total(epoch: Uint8Array): Uint8Array {
    const whole = new Uint8Array(this.#sums.byteLength + epoch.length);
    whole.set(new Uint8Array(this.#sums.buffer));
    whole.set(epoch, this.#sums.byteLength);
    this.#contents.hash(0, new DataView(whole.buffer), 0, whole.length);
    const digest = new DataView(new ArrayBuffer(DIGEST_BYTES));
    digest.setInt32(0, this.#contents.low, true);
    digest.setInt32(4, this.#contents.high, true);
    return new Uint8Array(digest.buffer);
  }

  #toggle(view: DataView, at: number): void {
    const sums = this.#sums;
    const sum = view.getUint8(at + BUCKET) * DIGEST_BYTES;
    sums.setInt32(sum, sums.getInt32(sum, true) ^ view.getInt32(at + DIGEST, true), true);
    sums.setInt32(
      sum + 4,
      sums.getInt32(sum + 4, true) ^ view.getInt32(at + DIGEST + 4, true),
      true,
    );
  }
}
