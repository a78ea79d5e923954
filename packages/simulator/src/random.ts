/** A seeded generator (xoshiro128**, Blackman and Vigna 2018; seeded by splitmix32). */
export class Random {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    let mix = seed >>> 0;
    this.#state = Uint32Array.from({ length: 4 }, () => {
      mix = (mix + 0x9e3779b9) >>> 0;
      let word = mix;
      word = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
      word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
      return word ^ (word >>> 15);
    });
  }

  word(): number {
    const s = this.#state;
    const [a = 0, b = 0, c = 0, d = 0] = s;
    const scrambled = Math.imul(b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = b << 9;
    const c2 = c ^ a;
    const d2 = d ^ b;
    s[0] = a ^ d2;
    s[1] = b ^ c2;
    s[2] = c2 ^ shifted;
    s[3] = (d2 << 11) | (d2 >>> 21);
    return result;
  }

  /** In [0, 1). */
  uniform(): number {
    return this.word() / 0x1_0000_0000;
  }

  /** A whole number in [0, below). */
  below(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  exponential(mean: number): number {
    return -Math.log(1 - this.uniform()) * mean;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('pick from nothing');
    return item;
  }

  bytes(sizeBytes: number): Uint8Array {
    const bytes = new Uint8Array(sizeBytes);
    for (let index = 0; index < sizeBytes; index += 4) {
      const word = this.word();
      for (let byte = 0; byte < 4 && index + byte < sizeBytes; byte += 1) {
        bytes[index + byte] = word >>> (8 * byte);
      }
    }
    return bytes;
  }

  /** A generator of its own, so that a draw more here does not reshuffle what happens there. */
  fork(): Random {
    return new Random(this.word());
  }
}
