import { inspect } from 'node:util';
import t from 'tap';
import { Cache, KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../src/index.ts';
import {
  bytes,
  DIGEST_KEY,
  hex,
  HOUR,
  MINUTE,
  newCache,
  occurrences,
  SECOND,
  SKEW,
  T0,
  text,
  version,
} from './fixture.ts';
import { Random } from './random.ts';

const KEY = bytes('session');
const OLD = bytes('old');
const NEW = bytes('new');

t.test('gives back what was put, as bytes of the caller', async (t) => {
  const cache = newCache();
  t.equal(cache.put(3, KEY, NEW, T0 + HOUR + 7, version(5), T0), 'stored');
  const hit = cache.get(3, KEY, T0);
  t.same(hit, { value: NEW, expiresAt: T0 + HOUR + 7, version: version(5) });
  hit?.value.fill(0);
  hit?.version.fill(0);
  t.equal(text(cache.get(3, KEY, T0)?.value), 'new');
  t.same(cache.version(3, KEY), version(5));
});

t.test('keeps tables apart, and keys that begin alike', async (t) => {
  const cache = newCache();
  const keys = ['', 's', 'se', 'session', 'session1'];
  for (const table of [0, 1, 255]) {
    for (const key of keys) {
      cache.put(table, bytes(key), bytes(`${table}${key}`), T0 + HOUR, version(1), T0);
    }
  }
  for (const table of [0, 1, 255]) {
    for (const key of keys) {
      t.equal(text(cache.get(table, bytes(key), T0)?.value), `${table}${key}`);
    }
  }
  t.equal(cache.get(2, KEY, T0), undefined);
  t.equal(cache.records, 15);
});

t.test('lets the greater version win, in any order of arrival', async (t) => {
  const cache = newCache();
  cache.put(0, KEY, NEW, T0 + HOUR, version(2), T0);
  t.equal(cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0), 'stale');
  t.equal(cache.put(0, KEY, OLD, T0 + HOUR, version(2), T0), 'same');
  t.equal(text(cache.get(0, KEY, T0)?.value), 'new');
  t.equal(cache.put(0, KEY, bytes('newest'), T0 + HOUR, version(3), T0), 'stored');
  t.equal(text(cache.get(0, KEY, T0)?.value), 'newest');
});

t.test('compares versions as bytes: wall time, then counter, then author', async (t) => {
  const cache = newCache();
  const versions = [
    '0000000000ff_ffff_ffffffffffffffff',
    '000000000100_0000_0000000000000000',
    '000000000100_0000_0000000000000001',
    '000000000100_0000_8000000000000000',
    '000000000100_0001_0000000000000000',
    '800000000000_0000_0000000000000000',
  ].map((digits) => new Uint8Array(Buffer.from(digits.replaceAll('_', ''), 'hex')));
  for (const [i, each] of versions.entries()) {
    t.equal(cache.put(0, KEY, NEW, T0 + HOUR, each, T0), 'stored');
    if (i > 0) t.equal(cache.put(0, KEY, NEW, T0 + HOUR, versions[i - 1]!, T0), 'stale');
  }
});

t.test('never shows an expired record, whether or not it was removed', async (t) => {
  const cache = newCache();
  cache.put(0, KEY, NEW, T0 + 1500, version(1), T0);
  t.ok(cache.get(0, KEY, T0 + 1499));
  t.equal(cache.get(0, KEY, T0 + 1500), undefined);
  t.same(cache.list(0, 10, T0 + 1500), []);
  t.same(cache.scan(undefined, undefined, 1e6, T0 + 1500).records, []);
  t.equal(cache.records, 1, 'held until its second ends');
  t.equal(cache.nextExpiry, T0 + 2000);
  t.equal(cache.expire(T0 + 1999, 100), 0);
  t.equal(cache.expire(T0 + 2000, 100), 1);
  t.equal(cache.records, 0);
  t.equal(cache.nextExpiry, Infinity);
});

t.test('refuses what has expired, and lets an older record go with it', async (t) => {
  const cache = newCache();
  t.equal(cache.put(0, KEY, NEW, T0, version(1), T0), 'expired');
  t.equal(cache.version(0, KEY), undefined);
  cache.put(0, KEY, OLD, T0 + HOUR, version(2), T0);
  t.equal(cache.put(0, KEY, NEW, T0 - 1, version(3), T0), 'expired');
  t.equal(cache.get(0, KEY, T0), undefined);
  t.same(cache.version(0, KEY), version(3));
  t.equal(cache.put(0, KEY, OLD, T0 + HOUR, version(2), T0), 'stale');
});

t.test('brings an expiry beyond 2106 forward, and takes no time before 1970', async (t) => {
  const cache = newCache();
  t.equal(cache.put(0, KEY, NEW, Infinity, version(1), T0), 'stored');
  t.equal(cache.get(0, KEY, T0)?.expiresAt, 0xffff_ffff * 1000);
  t.throws(() => cache.put(0, KEY, NEW, -1, version(2), T0));
  t.throws(() => cache.put(0, KEY, NEW, Number.NaN, version(2), T0));
  t.throws(() => cache.put(256, KEY, NEW, T0 + HOUR, version(2), T0));
  t.throws(() => cache.put(0, KEY, NEW, T0 + HOUR, version(2).subarray(1), T0));
});

t.test('takes keys of 255 and values of 65 535 bytes, and none larger', async (t) => {
  const cache = newCache({ capacityBytes: 2 ** 20, segmentBytes: 128 * 1024 });
  const key = new Uint8Array(KEY_BYTES_MAX + 1).fill(1);
  const value = new Uint8Array(VALUE_BYTES_MAX + 1).fill(2);
  const [longest, largest] = [key.subarray(1), value.subarray(1)];
  t.equal(cache.put(0, key, NEW, T0 + HOUR, version(1), T0), 'oversize');
  t.equal(cache.remove(0, key, T0 + HOUR, version(1), T0), 'oversize');
  t.equal(cache.put(0, KEY, value, T0 + HOUR, version(1), T0), 'oversize');
  t.equal(cache.put(0, longest, largest, T0 + HOUR, version(1), T0), 'stored');
  t.equal(hex(cache.get(0, longest, T0)!.value), hex(largest));
  const small = newCache({ segmentBytes: 1024 });
  t.equal(small.put(0, KEY, largest, T0 + HOUR, version(1), T0), 'oversize');
});

t.test('a delete leaves a tombstone that refuses what is older', async (t) => {
  const cache = newCache();
  cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0);
  t.equal(cache.remove(0, KEY, T0 + HOUR, version(2), T0), 'stored');
  t.equal(cache.get(0, KEY, T0), undefined);
  t.same([cache.records, cache.tombstones], [0, 1]);
  t.equal(cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0), 'stale');
  t.equal(cache.remove(0, KEY, T0 + HOUR, version(2), T0), 'same');
  t.equal(cache.put(0, KEY, NEW, T0 + HOUR, version(3), T0), 'stored');
  t.same([cache.records, cache.tombstones], [1, 0]);
});

t.test('a delete that comes before its add still wins', async (t) => {
  const cache = newCache();
  t.equal(cache.remove(0, KEY, T0 + MINUTE, version(2), T0), 'stored');
  t.equal(cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0), 'stale');
  t.equal(cache.get(0, KEY, T0), undefined);
  // The add lives longer than the delete knew, so the tombstone does.
  cache.expire(T0 + 2 * MINUTE, 1000);
  t.equal(cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0 + 2 * MINUTE), 'stale');
  cache.expire(T0 + HOUR + SKEW, 1000);
  t.equal(cache.tombstones, 0);
});

t.test('a delete and an update that race end alike in either order', async (t) => {
  for (const [remove, update] of [
    [2, 3],
    [3, 2],
  ] as const) {
    const [a, b] = [newCache({ seed: 1 }), newCache({ seed: 2 })];
    for (const cache of [a, b]) cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0);
    a.remove(0, KEY, T0 + HOUR, version(remove), T0);
    a.put(0, KEY, NEW, T0 + HOUR, version(update), T0);
    b.put(0, KEY, NEW, T0 + HOUR, version(update), T0);
    b.remove(0, KEY, T0 + HOUR, version(remove), T0);
    t.equal(text(a.get(0, KEY, T0)?.value), update > remove ? 'new' : undefined);
    t.same(a.get(0, KEY, T0), b.get(0, KEY, T0));
    t.same(a.digest(), b.digest());
  }
});

t.test('a tombstone ends with the deleted record and the skew, and no later', async (t) => {
  const cache = newCache();
  cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0);
  cache.remove(0, KEY, T0 + MINUTE, version(2), T0);
  cache.expire(T0 + HOUR + SKEW - 1, 1000);
  t.equal(cache.tombstones, 1);
  t.equal(cache.nextExpiry, T0 + HOUR + SKEW);
  cache.expire(T0 + HOUR + SKEW, 1000);
  t.same([cache.records, cache.tombstones, cache.bytes], [0, 0, 0]);
  t.equal(cache.remove(0, KEY, T0, version(3), T0 + HOUR), 'expired', 'nothing older lives');
});

t.test('a tombstone that is passed on and back grows no older', async (t) => {
  const [a, b] = [newCache({ seed: 1 }), newCache({ seed: 2 })];
  a.remove(0, KEY, T0 + MINUTE, version(1), T0);
  const cursor = undefined;
  for (let i = 2; i < 6; i += 1) {
    const [from, to] = i % 2 === 0 ? [a, b] : [b, a];
    const [passed] = from.scan(cursor, undefined, 1e6, T0).records;
    t.match(passed, { tombstone: true, expiresAt: T0 + MINUTE });
    to.remove(0, KEY, passed!.expiresAt, version(i), T0);
  }
  for (const cache of [a, b]) {
    t.equal(cache.expire(T0 + MINUTE + SKEW, 1000), 1);
  }
});

t.test('no older record comes back after a short-lived one that took its place', async (t) => {
  const cache = newCache();
  cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0);
  cache.put(0, KEY, NEW, T0 + MINUTE, version(2), T0);
  cache.expire(T0 + MINUTE, 1000);
  t.same([cache.records, cache.tombstones], [0, 1]);
  t.equal(occurrences(cache, NEW), 0, 'its value is gone');
  t.equal(cache.put(0, KEY, OLD, T0 + HOUR, version(1), T0 + MINUTE), 'stale');
  cache.expire(T0 + HOUR + SKEW, 1000);
  t.equal(cache.bytes, 0);
});

t.test('a record that outlives what it replaced leaves no tombstone', async (t) => {
  const cache = newCache();
  cache.put(0, KEY, OLD, T0 + MINUTE, version(1), T0);
  cache.put(0, KEY, NEW, T0 + MINUTE + 1, version(2), T0);
  cache.expire(T0 + MINUTE + SECOND, 1000);
  t.same([cache.records, cache.tombstones], [0, 0]);
});

t.test('a purge ends everything up to its epoch, now and later', async (t) => {
  const cache = newCache();
  for (let i = 1; i <= 20; i += 1) cache.put(0, Uint8Array.of(i), NEW, T0 + HOUR, version(i), T0);
  cache.remove(0, Uint8Array.of(3), T0 + HOUR, version(9), T0);
  t.ok(cache.purge(version(10)));
  t.same([cache.records, cache.tombstones], [10, 0]);
  t.equal(cache.get(0, Uint8Array.of(10), T0), undefined);
  t.ok(cache.get(0, Uint8Array.of(11), T0));
  t.equal(cache.put(0, KEY, OLD, T0 + HOUR, version(10), T0), 'purged');
  t.equal(cache.remove(0, KEY, T0 + HOUR, version(10), T0), 'purged');
  t.equal(cache.put(0, KEY, NEW, T0 + HOUR, version(11), T0), 'stored');
  t.notOk(cache.purge(version(10)));
  t.notOk(cache.purge(version(4)), 'the epoch only rises');
  t.same(cache.purgeEpoch, version(10));
  t.ok(cache.purge(version(100)));
  t.same([cache.records, cache.bytes, cache.nextExpiry], [0, 0, Infinity]);
});

t.test('lists live records of one table, up to a limit', async (t) => {
  const cache = newCache();
  for (let i = 0; i < 20; i += 1) {
    cache.put(i % 2, bytes(`${i}`), NEW, T0 + HOUR, version(i + 1), T0);
  }
  cache.put(1, KEY, NEW, T0 + SECOND, version(1), T0);
  cache.remove(1, bytes('3'), T0 + HOUR, version(99), T0);
  const keys = cache.list(1, 100, T0 + SECOND).map(({ key }) => text(key));
  t.same(keys.sort(), ['1', '11', '13', '15', '17', '19', '5', '7', '9']);
  t.equal(cache.list(1, 4, T0).length, 4);
  t.same(cache.list(2, 4, T0), []);
});

t.test('shows nothing of its contents when printed', async (t) => {
  const cache = newCache();
  cache.put(0, bytes('a name'), bytes('a secret'), T0 + HOUR, version(1), T0);
  const hidden = inspect(cache, { showHidden: true, getters: true, depth: 9 });
  for (const printed of [inspect(cache), hidden, String(cache), JSON.stringify(cache)]) {
    t.notMatch(printed, /name|secret|61 20|97,? 32/);
  }
  t.match(inspect(cache), 'Cache { capacityBytes: 65536 }');
});

t.test('takes random bytes from where it is told, once', async (t) => {
  const asked: number[] = [];
  const random = (sizeBytes: number) => {
    asked.push(sizeBytes);
    return new Random(1).bytes(sizeBytes);
  };
  const cache = newCache({ random });
  cache.put(0, KEY, NEW, T0 + HOUR, version(1), T0);
  t.same(asked, [2056], '256 entries and the start value, 8 bytes each');
});

t.test('refuses options that make no sense', async (t) => {
  const random = new Random(1).bytes;
  const options = { capacityBytes: 65_536, digestKey: DIGEST_KEY, random, tombstoneSkewMs: SKEW };
  t.throws(() => new Cache(options), /capacityBytes/, 'the default segment needs a mebibyte');
  t.throws(() => new Cache({ ...options, segmentBytes: 3000 }), /segmentBytes/);
  t.throws(() => new Cache({ ...options, segmentBytes: 512 }), /segmentBytes/);
  t.throws(() => new Cache({ ...options, capacityBytes: 2 ** 35 }), /capacityBytes/);
  t.throws(() => new Cache({ ...options, digestKey: DIGEST_KEY.subarray(1) }), /digestKey/);
  t.ok(new Cache({ ...options, capacityBytes: 2 ** 20 }));
});
