import t from 'tap';
import { PROBE_MAX, SlotIndex } from '../src/slot-index.ts';
import { BuzHash } from '../src/buz-hash.ts';
import { plainHasher } from './plain-buz-hash.ts';
import { Random } from './random.ts';

/** Keys by location, and an index of them. */
class Bench {
  readonly keys: Uint8Array[] = [new Uint8Array(0)];
  readonly hashes: number[] = [0];
  readonly index = new SlotIndex((location, _, key) => {
    return Buffer.compare(this.keys[location]!, key) === 0;
  });
  readonly #hash: (key: Uint8Array) => number;

  constructor(hash: (key: Uint8Array) => number) {
    this.#hash = hash;
  }

  insert(key: Uint8Array): boolean {
    this.keys.push(key);
    this.hashes.push(this.#hash(key));
    return this.index.insert(this.#hash(key), this.keys.length - 1);
  }

  find(key: Uint8Array): number {
    return this.index.find(this.#hash(key), 0, key);
  }
}

function buz(seed: number): (key: Uint8Array) => number {
  const hash = new BuzHash(new Random(seed).bytes);
  return (key) => hash.hash(0, key, 0, key.length);
}

t.test('finds all that was inserted, through many splits, and nothing else', async (t) => {
  const bench = new Bench(buz(1));
  const random = new Random(2);
  const keys = Array.from({ length: 50_000 }, () => random.bytes(12));
  for (const key of keys) bench.insert(key);
  t.ok(keys.every((key, i) => bench.find(key) === i + 1));
  t.ok(keys.every((key) => bench.find(key.subarray(1)) === 0));
  t.comment(`longest probe of 50 000: ${bench.index.longestProbe()}`);
  t.ok(bench.index.longestProbe() <= 64);
});

t.test('removes without leaving marks: what stays is found, probes do not grow', async (t) => {
  const bench = new Bench(buz(3));
  const random = new Random(4);
  const held = new Set<number>();
  for (let i = 0; i < 60_000; i += 1) {
    bench.insert(random.bytes(10));
    held.add(bench.keys.length - 1);
    if (held.size <= 1500) continue;
    const victim = [...held.keys()].at(0)!;
    bench.index.remove(bench.hashes[victim]!, victim);
    held.delete(victim);
  }
  t.ok([...held].every((location) => bench.find(bench.keys[location]!) === location));
  t.equal(bench.find(bench.keys[1]!), 0);
  t.ok(bench.index.longestProbe() <= 64, `longest probe ${bench.index.longestProbe()}`);
});

t.test('follows an entry that moved', async (t) => {
  const bench = new Bench(buz(5));
  const key = Uint8Array.of(1, 2, 3);
  bench.insert(key);
  bench.keys.push(key);
  bench.index.move(bench.hashes[1]!, 1, 2);
  t.equal(bench.find(key), 2);
});

t.test('keeps keys of one hash apart, and says when a hash does not spread', async (t) => {
  const bench = new Bench(() => 0x12345678);
  const keys = Array.from({ length: PROBE_MAX + 2 }, (_, i) => Uint8Array.of(i, i >> 8));
  const kept = keys.map((key) => bench.insert(key));
  t.ok(kept.slice(0, PROBE_MAX + 1).every((fits) => fits));
  t.notOk(kept.at(-1));
  t.ok(keys.every((key, i) => bench.find(key) === i + 1));
});

/** Each family's keys have one hash in the plain algorithm, whatever its table. */
const COLLIDING: Record<string, (random: Random) => Iterable<Uint8Array>> = {
  *'twelve pairs of bytes 64 apart, as they are or swapped'(random) {
    const base = random.bytes(200);
    for (let choice = 0; choice < 4096; choice += 1) {
      const key = base.slice();
      for (let pair = 0; pair < 12; pair += 1) {
        if (((choice >> pair) & 1) === 0) continue;
        const at = pair < 6 ? pair * 9 : 100 + (pair - 6) * 5;
        [key[at], key[at + 64]] = [key[at + 64]!, key[at]!];
      }
      yield key;
    }
  },
  *'any 64 bytes, twice, within one key'(random) {
    const base = random.bytes(100);
    for (let i = 0; i < 4096; i += 1) {
      const [block, at] = [random.bytes(64), i % 100];
      yield Uint8Array.from([...base.subarray(0, at), ...block, ...block, ...base.subarray(at)]);
    }
  },
};

t.test('keeps probes short under keys that collide in the plain algorithm', async (t) => {
  for (const [name, family] of Object.entries(COLLIDING)) {
    const [plain, bench] = [plainHasher(1), new Bench(buz(7))];
    const values = new Set<bigint>();
    for (const key of family(new Random(6))) {
      values.add(plain(key));
      bench.insert(key);
    }
    t.equal(values.size, 1, `the plain algorithm has one value for ${name}`);
    t.comment(`${name}: longest probe ${bench.index.longestProbe()}`);
    t.ok(bench.index.longestProbe() <= 64, name);
  }
});
