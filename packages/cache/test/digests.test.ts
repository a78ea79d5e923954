import t from 'tap';
import { BUCKETS, type Cache, DIGEST_BYTES } from '../src/index.ts';
import { bytes, hex, HOUR, MINUTE, newCache, SECOND, SKEW, T0, version } from './fixture.ts';
import { Random } from './random.ts';

type Write = (cache: Cache) => unknown;

/** Puts and deletes of few keys by many versions, so that they meet in every way. */
function writes(random: Random, count: number): Write[] {
  return Array.from({ length: count }, (_, i): Write => {
    const table = random.below(2);
    const key = bytes(`key ${random.below(60)}`);
    const expiresAt = T0 + MINUTE + random.below(30 * MINUTE);
    if (random.below(4) === 0) {
      return (cache) => cache.remove(table, key, expiresAt, version(i + 1), T0);
    }
    const value = random.bytes(random.below(100));
    return (cache) => cache.put(table, key, value, expiresAt, version(i + 1), T0);
  });
}

t.test('are equal on equal contents, whatever the order, placement and segments', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = new Random(seed);
    const script = writes(random, 500);
    const a = newCache({ capacityBytes: 2 ** 18, segmentBytes: 2048, seed: 2 * seed });
    const b = newCache({ capacityBytes: 2 ** 20, segmentBytes: 2 ** 16, seed: 2 * seed + 1 });
    for (const write of script) write(a);
    for (const write of random.shuffle([...script, ...script])) write(b);
    t.same(a.digest(), b.digest(), `seed ${seed}`);
    t.same(a.bucketDigests(), b.bucketDigests());
    // And so they stay, to the end of the last tombstone.
    for (let now = T0; a.records + a.tombstones > 0; now += 7 * SECOND) {
      a.expire(now, Infinity);
      while (b.nextExpiry <= now) b.expire(now, 10);
      if (hex(a.digest()) !== hex(b.digest())) t.fail(`seed ${seed}: apart at ${now - T0} ms`);
    }
    t.equal(b.bytes, 0);
    t.same(a.digest(), newCache().digest(), 'nothing is left of what has gone');
  }
});

t.test('differ by one byte of key, value, version or table, and by a tombstone', async (t) => {
  const key = bytes('key');
  const value = bytes('value');
  const contents: Write[] = [
    () => undefined,
    (cache) => cache.put(0, key, value, T0 + HOUR, version(1), T0),
    (cache) => cache.put(1, key, value, T0 + HOUR, version(1), T0),
    (cache) => cache.put(0, bytes('kez'), value, T0 + HOUR, version(1), T0),
    (cache) => cache.put(0, key, bytes('valuf'), T0 + HOUR, version(1), T0),
    (cache) => cache.put(0, bytes('keyv'), bytes('alue'), T0 + HOUR, version(1), T0),
    (cache) => cache.put(0, key, value, T0 + HOUR, version(2), T0),
    (cache) => cache.put(0, key, bytes(''), T0 + HOUR, version(1), T0),
    (cache) => cache.remove(0, key, T0 + HOUR, version(1), T0),
  ];
  const digests = contents.map((write) => {
    const cache = newCache();
    write(cache);
    return hex(cache.digest());
  });
  t.equal(new Set(digests).size, contents.length);
});

t.test('do not depend on expiries, which a tombstone may have later elsewhere', async (t) => {
  const [a, b] = [newCache(), newCache()];
  a.put(0, bytes('key'), bytes('value'), T0 + HOUR, version(1), T0);
  a.remove(0, bytes('key'), T0 + MINUTE, version(2), T0);
  b.remove(0, bytes('key'), T0 + MINUTE, version(2), T0);
  t.same(a.digest(), b.digest());
  b.expire(T0 + MINUTE + SKEW, 100);
  t.not(hex(a.digest()), hex(b.digest()));
});

t.test('include the purge epoch, and depend on the cluster key', async (t) => {
  const [a, b] = [newCache(), newCache()];
  a.purge(version(1));
  t.not(hex(a.digest()), hex(b.digest()));
  t.same(a.bucketDigests(), b.bucketDigests());
  b.purge(version(1));
  t.same(a.digest(), b.digest());
  const other = newCache({ digestKey: new Uint8Array(16).fill(9) });
  for (const cache of [a, other]) cache.put(0, bytes('k'), bytes('v'), T0 + HOUR, version(2), T0);
  t.not(hex(other.bucketDigests()), hex(a.bucketDigests()));
});

t.test('a change touches the bucket of its key alone', async (t) => {
  const cache = newCache();
  const touched = new Set<number>();
  for (let i = 0; i < 300; i += 1) {
    const before = cache.bucketDigests();
    cache.put(0, bytes(`${i}`), bytes('v'), T0 + HOUR, version(1), T0);
    const after = cache.bucketDigests();
    t.equal(after.length, BUCKETS * DIGEST_BYTES);
    const buckets = new Set<number>();
    for (const [at, byte] of after.entries()) {
      if (byte !== before[at]) buckets.add(Math.floor(at / DIGEST_BYTES));
    }
    t.equal(buckets.size, 1);
    for (const bucket of buckets) touched.add(bucket);
  }
  t.ok(touched.size > 150, 'keys spread over buckets');
});
