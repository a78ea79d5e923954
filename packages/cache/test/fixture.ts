import { storeOf } from '../src/cache.ts';
import { Cache, type CacheOptions, VERSION_BYTES } from '../src/index.ts';
import { Random } from './random.ts';

/** A wall time to begin with; a whole second. */
export const T0 = 1_800_000_000_000;
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const SKEW = 5 * SECOND;
export const DIGEST_KEY = Uint8Array.from({ length: 16 }, (_, i) => i);

export function newCache(options: Partial<CacheOptions> & { seed?: number } = {}): Cache {
  const { seed = 1, ...rest } = options;
  return new Cache({
    capacityBytes: 64 * 1024,
    segmentBytes: 4096,
    digestKey: DIGEST_KEY,
    random: new Random(seed).bytes,
    tombstoneSkewMs: SKEW,
    ...rest,
  });
}

/** Versions made from a plain number, in its order. */
export function version(order: number): Uint8Array {
  const bytes = Buffer.alloc(VERSION_BYTES);
  bytes.writeUIntBE(order, 0, 6);
  return new Uint8Array(bytes);
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

export function text(data: Uint8Array | undefined): string | undefined {
  return data && Buffer.from(data).toString();
}

/** How often `needle` stands in the cache's memory, wherever. */
export function occurrences(cache: Cache, needle: Uint8Array): number {
  let found = 0;
  for (const buffer of storeOf(cache).segments.buffers()) {
    const memory = Buffer.from(buffer);
    for (let at = memory.indexOf(needle); at >= 0; at = memory.indexOf(needle, at + 1)) found += 1;
  }
  return found;
}
