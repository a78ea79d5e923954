import t from 'tap';
import { RECORD, writeEntry } from '../src/entry.ts';
import { Store } from '../src/store.ts';
import { bytes, DIGEST_KEY, HOUR, MINUTE, newCache, SKEW, T0, version } from './fixture.ts';
import { storeOf } from '../src/cache.ts';
import { Random } from './random.ts';

function newStore(random: (sizeBytes: number) => Uint8Array): Store {
  return new Store({
    capacityBytes: 2 ** 20,
    segmentBytes: 2 ** 16,
    digestKey: DIGEST_KEY,
    random,
    tombstoneSkewMs: SKEW,
  });
}

function enter(store: Store, key: Uint8Array): void {
  const segment = store.segments.room(512, HOUR)!;
  writeEntry(segment, RECORD, 0, key, bytes('v'), T0 + HOUR, (T0 + HOUR) / 1000, version(1));
  store.enter(segment, 0);
}

t.test('draws a new placement when keys do not spread', async (t) => {
  let draws = 0;
  const good = new Random(1);
  const store = newStore((sizeBytes) => {
    draws += 1;
    return draws === 1 ? new Uint8Array(sizeBytes) : good.bytes(sizeBytes);
  });
  // With a table of zeros all keys of one length have one hash.
  const keys = Array.from({ length: 1000 }, (_, i) => bytes(`key ${1000 + i}`));
  for (const key of keys) enter(store, key);
  t.equal(draws, 2);
  t.ok(store.longestProbe() < 64);
  t.ok(keys.every((key) => store.find(0, key) !== 0));
});

t.test('compaction slides what lives together, and stops where little is to gain', async (t) => {
  const cache = newCache({ capacityBytes: 2 ** 17, segmentBytes: 8192 });
  const store = storeOf(cache);
  for (let i = 0; i < 600; i += 1) {
    cache.put(0, bytes(`${i}`), new Uint8Array(100), T0 + HOUR, version(1), T0);
  }
  for (let i = 0; i < 600; i += 1) {
    if (i % 4 !== 0) cache.put(0, bytes(`${i}`), new Uint8Array(0), T0 + MINUTE, version(2), T0);
  }
  cache.expire(T0 + MINUTE, Infinity);
  const digest = cache.digest();
  const gaps = () => store.segments.log.reduce((sum, { end, live }) => sum + end - live, 0);
  const before = gaps();
  t.ok(before > 40_000);
  t.ok(store.compact(512, HOUR));
  t.ok(gaps() < before, `${before} to ${gaps()} bytes of gaps`);
  t.same(cache.digest(), digest);
  for (let i = 0; i < 600; i += 4) {
    if (!cache.get(0, bytes(`${i}`), T0 + MINUTE)) t.fail(`${i} lost`);
  }
  t.notOk(store.compact(8192, HOUR), 'no segment is empty');
  for (let i = 1000; ; i += 1) {
    const outcome = cache.put(0, bytes(`${i}`), new Uint8Array(100), T0 + HOUR, version(1), T0);
    if (outcome === 'full') break;
  }
  t.ok(gaps() < before / 8, `${gaps()} bytes of gaps when full`);
  t.ok(cache.bytes > store.assuredBytes(152));
  t.notOk(store.compact(512, HOUR), 'nothing to gain');
  cache.purge(version(1));
  t.ok(store.compact(512, HOUR), 'once something has died');
});

t.test('entries with like times to live share segments, so that segments fall empty', async (t) => {
  const cache = newCache({ capacityBytes: 2 ** 20, segmentBytes: 8192 });
  for (let i = 0; i < 2000; i += 1) {
    const life = [MINUTE, HOUR, 24 * HOUR][i % 3]!;
    cache.put(0, bytes(`${i}`), new Uint8Array(100), T0 + life, version(1), T0);
  }
  const { log } = storeOf(cache).segments;
  const before = log.length;
  cache.expire(T0 + MINUTE, Infinity);
  t.ok(log.length <= Math.ceil((before * 2) / 3) + 1, `${before} to ${log.length}`);
});

t.test(
  'where no segment is free, any open one takes any entry before anything moves',
  async (t) => {
    const cache = newCache({ capacityBytes: 16 * 1024, segmentBytes: 4096 });
    const { log } = storeOf(cache).segments;
    for (let i = 0; i < 100; i += 1) {
      cache.put(0, bytes(`${i}`), new Uint8Array(80), T0 + (i + 1) * HOUR, version(1), T0);
    }
    t.equal(log.length, 4);
    t.equal(cache.records, 100);
    t.ok(log.every(({ edition }) => edition === 0));
  },
);
