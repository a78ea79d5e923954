/**
 * BUZhash (cyclic polynomial; Lemire and Kaser, arXiv 0705.4676) in two halves of 32 bits. Its
 * plain form has rotation period 64: bytes 64 apart may be swapped, and 64 equal bytes cancel,
 * whatever the table. Here a mix that is not linear ends every block of at most 33 bytes, so no
 * rotation comes round, and 32 of the 64 bits stay pairwise independent within a block.
 *
 * A value must not leave the process, nor a place or an order made of it: about 257 of them tell
 * the table.
 */
export class BuzHash {
  /** Low and high half of each byte's word, then those of the start value. */
  readonly #words: Int32Array;

  /** Draws everything anew: XORing a seed into a fixed table would only add a constant. */
  constructor(random: (sizeBytes: number) => Uint8Array) {
    this.#words = new Int32Array(new Uint8Array(random(WORDS * 4)).buffer);
  }

  /** The table, then `bytes` from `from` up to `to`: a signed number of 32 bits. */
  hash(table: number, bytes: Uint8Array, from: number, to: number): number {
    const words = this.#words;
    const length = to - from;
    let low = words[START]! ^ words[2 * table]!;
    let high = words[START + 1]! ^ words[2 * table + 1]!;
    let at = from;
    do {
      for (const end = Math.min(to, at + BLOCK_BYTES); at < end; at += 1) {
        const word = 2 * bytes[at]!;
        const carry = low >>> 31;
        low = ((low << 1) | (high >>> 31)) ^ words[word]!;
        high = ((high << 1) | carry) ^ words[word + 1]!;
      }
      low = Math.imul(low ^ length ^ (high >>> 15), 0x2c1b3c6d);
      high = Math.imul(high ^ (low >>> 13), 0x297a2d39);
      low = Math.imul(low ^ (high >>> 16), 0x85ebca6b);
      high = Math.imul(high ^ (low >>> 14), 0xc2b2ae35);
      low ^= high >>> 15;
    } while (at < to);
    return high ^ low;
  }
}

/** Of the key; the first block has the table's byte besides. */
const BLOCK_BYTES = 32;
const START = 2 * 256;
const WORDS = START + 2;
