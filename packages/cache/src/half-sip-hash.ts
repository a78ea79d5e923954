/**
 * HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein, the reference's `halfsiphash.c`):
 * a keyed hash that needs no arithmetic wider than 32 bits. The result lies in `low` and `high`
 * until the next call, so that hashing allocates nothing.
 */
export class HalfSipHash {
  low = 0;
  high = 0;
  readonly #key0: number;
  readonly #key1: number;

  /** `key`: 8 bytes. */
  constructor(key: Uint8Array) {
    const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
    this.#key0 = view.getInt32(0, true);
    this.#key1 = view.getInt32(4, true);
  }

  /** The message is `prefix`, four bytes little endian, then `view` from `from` up to `to`. */
  hash(prefix: number, view: DataView, from: number, to: number): void {
    let v0 = this.#key0;
    let v1 = this.#key1 ^ 0xee;
    let v2 = this.#key0 ^ 0x6c796765;
    let v3 = this.#key1 ^ 0x74656462;
    const words = 1 + ((to - from) >>> 2);
    const finish = words + 4;
    let word = prefix;
    let at = from;
    // Words, the remainder with the length, then twice four rounds: always two rounds a step.
    for (let step = 0; step <= finish; step += 1) {
      v3 ^= word;
      for (let round = 0; round < 2; round += 1) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      v0 ^= word;
      if (step + 1 < words) {
        word = view.getInt32(at, true);
        at += 4;
      } else if (step + 1 === words) {
        word = lastWord(view, at, to, 4 + to - from);
      } else {
        word = 0;
        if (step === words) v2 ^= 0xee;
        else if (step === words + 2) {
          this.low = v1 ^ v3;
          v1 ^= 0xdd;
        }
      }
    }
    this.high = v1 ^ v3;
  }
}

function lastWord(view: DataView, from: number, to: number, lengthBytes: number): number {
  let word = lengthBytes << 24;
  for (let at = from; at < to; at += 1) word |= view.getUint8(at) << (8 * (at - from));
  return word;
}
