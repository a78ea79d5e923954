/**
 * A version orders the writes of one key over the whole cluster: 48 bits of wall milliseconds, 16
 * bits of a counter, 8 bytes of the author, all big endian, so that the order of versions is the
 * order of their bytes.
 */
export const VERSION_BYTES = 16;

/** Negative when `a` is older than `b`, 0 when they are the same write. */
export function compareVersions(a: Uint8Array, b: Uint8Array): number {
  return compareVersionAt(a, 0, b);
}

/** The same for a version that lies in `bytes` at `at`. */
export function compareVersionAt(bytes: Uint8Array, at: number, version: Uint8Array): number {
  for (let i = 0; i < VERSION_BYTES; i += 1) {
    const difference = bytes[at + i]! - version[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
