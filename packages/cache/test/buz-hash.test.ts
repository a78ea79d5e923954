import t from 'tap';
import { BuzHash } from '../src/buz-hash.ts';
import { bytes } from './fixture.ts';
import { plainHasher } from './plain-buz-hash.ts';
import { chiSquareSigmas, Random } from './random.ts';

const BUCKETS = 1024;

function hasher(seed: number): (key: Uint8Array, table?: number) => number {
  const hash = new BuzHash(new Random(seed).bytes);
  return (key, table = 7) => hash.hash(table, key, 0, key.length);
}

function hex32(value: number): Uint8Array {
  return bytes((value >>> 0).toString(16).padStart(32, '0'));
}

const FAMILIES: Record<string, (random: Random, count: number) => Iterable<Uint8Array>> = {
  *'random session ids'(random, count) {
    for (let i = 0; i < count; i += 1) yield random.bytes(32);
  },
  *'decimal counters'(_, count) {
    for (let i = 0; i < count; i += 1) yield bytes(String(i));
  },
  *'counters in 32 digits'(_, count) {
    for (let i = 0; i < count; i += 1) yield hex32(i);
  },
  *'binary counters in the last bytes'(_, count) {
    for (let i = 0; i < count; i += 1) {
      const key = Buffer.alloc(32);
      key.writeUInt32BE(i, 28);
      yield key;
    }
  },
  *'binary counters in the first bytes'(_, count) {
    for (let i = 0; i < count; i += 1) {
      const key = Buffer.alloc(32);
      key.writeUInt32BE(i);
      yield key;
    }
  },
  *'ids that differ in two bits'(random) {
    const base = random.bytes(32);
    for (let i = 0; i < 256; i += 1) {
      for (let j = 0; j < i; j += 1) {
        const key = base.slice();
        key[i >> 3]! ^= 1 << (i & 7);
        key[j >> 3]! ^= 1 << (j & 7);
        yield key;
      }
    }
  },
};

t.test('spreads keys of every kind evenly, over first and last bits', async (t) => {
  for (const [name, family] of Object.entries(FAMILIES)) {
    for (const seed of [1, 2, 3]) {
      const hash = hasher(seed);
      const last = new Uint32Array(BUCKETS);
      const first = new Uint32Array(BUCKETS);
      for (const key of family(new Random(seed + 100), 32_768)) {
        const value = hash(key);
        last[value & (BUCKETS - 1)]! += 1;
        first[value >>> 22]! += 1;
      }
      const sigmas = [chiSquareSigmas(last), chiSquareSigmas(first)];
      t.comment(`${name}, seed ${seed}: chi-square ${sigmas.map((x) => x.toFixed(2))} sigma`);
      t.ok(
        sigmas.every((sigma) => Math.abs(sigma) < 5),
        `${name}, seed ${seed}`,
      );
    }
  }
});

t.test('tells tables apart', async (t) => {
  const hash = hasher(1);
  const key = new Random(9).bytes(32);
  const values = new Set(Array.from({ length: 256 }, (_, table) => hash(key, table)));
  t.equal(values.size, 256);
});

t.test('gives every process a placement of its own', async (t) => {
  const key = new Random(9).bytes(32);
  const values = new Set(Array.from({ length: 500 }, (_, seed) => hasher(seed)(key)));
  t.equal(values.size, 500);
});

t.test('does not collide where bytes 64 apart change places', async (t) => {
  const hash = hasher(1);
  const plain = plainHasher(1);
  const random = new Random(5);
  for (let i = 0; i < 200; i += 1) {
    const key = random.bytes(65 + random.below(190));
    const at = random.below(key.length - 64);
    const swapped = key.slice();
    swapped[at] = key[at + 64]!;
    swapped[at + 64] = key[at]!;
    if (key[at] === key[at + 64]) continue;
    t.equal(plain(swapped), plain(key), 'the plain algorithm does');
    t.not(hash(swapped), hash(key));
  }
});

t.test('does not collide where 64 bytes stand twice', async (t) => {
  const hash = hasher(1);
  const plain = plainHasher(1);
  const random = new Random(6);
  for (let i = 0; i < 100; i += 1) {
    const key = random.bytes(100);
    const block = random.bytes(64);
    const longer = Uint8Array.from([...key.subarray(0, i), ...block, ...block, ...key.subarray(i)]);
    t.equal(plain(longer), plain(key), 'the plain algorithm does');
    t.not(hash(longer), hash(key));
  }
});

t.test('does not collide for runs of one byte, of any length', async (t) => {
  const plain = plainHasher(1);
  for (const [length, ofPlain] of [
    [64, 2],
    [128, 1],
  ] as const) {
    const keys = Array.from({ length: 256 }, (_, byte) => new Uint8Array(length).fill(byte));
    t.equal(new Set(keys.map(plain)).size, ofPlain, `the plain algorithm does at ${length}`);
  }
  // The table's byte stands before the key, so every alignment of a run occurs.
  const hash = hasher(1);
  for (let length = 1; length <= 255; length += 1) {
    const keys = Array.from({ length: 256 }, (_, byte) => new Uint8Array(length).fill(byte));
    const values = new Set(keys.map((key) => hash(key)));
    if (values.size < 256) t.fail(`${256 - values.size} collisions at ${length} bytes`);
  }
  t.equal(new Set(Array.from({ length: 256 }, (_, n) => hash(new Uint8Array(n)))).size, 256);
});

t.test('does not let found collisions multiply', async (t) => {
  const hash = hasher(1);
  const random = new Random(8);
  let zeros = 0;
  for (let i = 0; i < 1000; i += 1) {
    const [a, b, c, d] = [1, 2, 3, 4].map(() => random.bytes(16)) as [Uint8Array, ...Uint8Array[]];
    const of = (...parts: (Uint8Array | undefined)[]) => {
      return hash(Uint8Array.from(parts.flatMap((part) => [...part!])));
    };
    if ((of(a, c) ^ of(a, d) ^ of(b, c) ^ of(b, d)) === 0) zeros += 1;
  }
  t.equal(zeros, 0, 'the plain algorithm is linear: there it is zero for all');
});
