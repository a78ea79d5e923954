import { Random } from './random.ts';

const MASK = (1n << 64n) - 1n;

/** The published algorithm, for contrast. */
export function plainHasher(seed: number): (key: Uint8Array) => bigint {
  const random = new Random(seed);
  const word = () => BigInt(`0x${Buffer.from(random.bytes(8)).toString('hex')}`);
  const table = Array.from({ length: 256 }, word);
  const start = word();
  return (key) => {
    let hash = start;
    for (const byte of key) hash = (((hash << 1n) & MASK) | (hash >> 63n)) ^ table[byte]!;
    return hash;
  };
}
