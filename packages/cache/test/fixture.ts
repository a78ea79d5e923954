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
