import t from 'tap';
import { storeOf } from '../src/cache.ts';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../src/index.ts';
import {
  bytes,
  HOUR,
  MINUTE,
  newCache,
  occurrences,
  SECOND,
  SKEW,
  T0,
  version,
} from './fixture.ts';
import { Random } from './random.ts';

const KEY = bytes('session');
const NEW = bytes('new');

t.test('old bytes are zero after an overwrite, a delete, an expiry and a purge', async (t) => {
  const cache = newCache();
  const secret = bytes('master-secret-of-a-session');
  const name = bytes('the-name-of-a-session');
  const write = (order: number, value = secret) =>
    cache.put(0, name, value, T0 + HOUR, version(order), T0);
  write(1);
  t.same([occurrences(cache, secret), occurrences(cache, name)], [1, 1]);
  write(2, bytes('another'));
  t.same([occurrences(cache, secret), occurrences(cache, name)], [0, 1]);
  write(3);
  cache.remove(0, name, T0 + HOUR, version(4), T0);
  t.same([occurrences(cache, secret), occurrences(cache, name)], [0, 1]);
  t.equal(occurrences(cache, secret.subarray(0, 3)), 0, 'nor a beginning, behind the key');
  write(5);
  cache.put(0, name, NEW, T0 - 1, version(6), T0);
  t.equal(occurrences(cache, secret), 0);
  write(7);
  cache.expire(T0 + 2 * HOUR, 1000);
  t.same([occurrences(cache, secret), occurrences(cache, name)], [0, 0]);
  write(8);
  cache.purge(version(9));
  t.same([occurrences(cache, secret), occurrences(cache, name)], [0, 0]);
});

t.test('freed segments and moved records leave nothing behind', async (t) => {
  const cache = newCache({ capacityBytes: 16 * 1024, segmentBytes: 1024 });
  const random = new Random(3);
  const secret = bytes('0123456789abcdef');
  for (let i = 1; i <= 5000; i += 1) {
    const key = Uint8Array.of(random.below(90));
    const expiresAt = T0 + i * 10 + 1000 * (1 + random.below(60));
    cache.put(0, key, secret, expiresAt, version(i), T0 + i * 10);
    if (i % 100 === 0) cache.expire(T0 + i * 10, 1000);
    if (i % 500 === 0) t.equal(occurrences(cache, secret), cache.records);
  }
  cache.purge(version(5001));
  for (const buffer of storeOf(cache).segments.buffers()) {
    const zeros = new Uint8Array(buffer).every((byte) => byte === 0);
    const open = storeOf(cache).segments.log.some((segment) => segment.bytes.buffer === buffer);
    t.ok(zeros || open, 'all that is not still appended to is zero throughout');
  }
});

t.test('keeps its bound under endless overwrites of one key', async (t) => {
  const cache = newCache({ capacityBytes: 16 * 1024, segmentBytes: 4096 });
  const value = new Uint8Array(1000);
  for (let i = 1; i <= 2000; i += 1) {
    if (cache.put(0, KEY, value, T0 + HOUR + i, version(i), T0) !== 'stored') t.fail(`at ${i}`);
  }
  t.equal(cache.records, 1);
  t.ok(storeOf(cache).segments.buffers().length <= 4);
});

t.test('keeps its bound under endless deletes of new keys, whose tombstones end', async (t) => {
  const cache = newCache({ capacityBytes: 16 * 1024, segmentBytes: 4096 });
  for (let i = 1; i <= 5000; i += 1) {
    const now = T0 + i * SECOND;
    const outcome = cache.remove(0, bytes(`key ${i}`), now + MINUTE, version(i), now);
    if (outcome !== 'stored') t.fail(`${outcome} at ${i}`);
  }
  cache.expire(T0 + 5000 * SECOND, Infinity);
  t.equal(cache.tombstones, MINUTE / SECOND + SKEW / SECOND);
});

t.test('refuses when full, changes nothing then, and still deletes', async (t) => {
  const cache = newCache({ capacityBytes: 16 * 1024, segmentBytes: 4096 });
  const key = (i: number) => bytes(`key ${i}`);
  const value = new Uint8Array(200);
  let stored = 0;
  while (cache.put(0, key(stored), value, T0 + HOUR, version(1), T0) === 'stored') stored += 1;
  t.ok(cache.bytes > storeOf(cache).assuredBytes(256), `${cache.bytes} bytes held when full`);
  const before = cache.digest();
  t.equal(cache.put(0, key(stored), value, T0 + HOUR, version(2), T0), 'full');
  t.equal(cache.put(0, key(0), value, T0 + HOUR, version(2), T0), 'full');
  t.same(cache.digest(), before);
  t.same(cache.version(0, key(0)), version(1));
  for (let i = 0; i < 10; i += 1) {
    t.equal(cache.remove(0, key(i), T0 + HOUR, version(2), T0), 'stored');
  }
  t.equal(cache.put(0, key(stored), value, T0 + HOUR, version(2), T0), 'stored');
  for (let i = 10; i < stored; i += 1) {
    if (!cache.get(0, key(i), T0)) t.fail(`record ${i} lost`);
  }
});

t.test('frees the expired before it refuses', async (t) => {
  const cache = newCache({ capacityBytes: 16 * 1024, segmentBytes: 4096 });
  const value = new Uint8Array(200);
  for (let i = 0; ; i += 1) {
    const expiresAt = T0 + (i % 2 === 0 ? MINUTE : HOUR);
    if (cache.put(0, bytes(`${i}`), value, expiresAt, version(1), T0) === 'full') break;
  }
  t.equal(cache.put(0, KEY, value, T0 + HOUR, version(1), T0 + MINUTE), 'stored');
});

t.test('fits says beforehand that nothing will be refused', async (t) => {
  const cache = newCache();
  const random = new Random(4);
  let order = 0;
  for (let batch = 0; batch < 400; batch += 1) {
    const entries = Array.from({ length: 1 + random.below(8) }, () => ({
      key: random.bytes(1),
      value: new Uint8Array(random.below(190)),
    }));
    if (!cache.fits(entries)) {
      cache.purge(version(order - 100));
      continue;
    }
    for (const { key, value } of entries) {
      order += 1;
      t.equal(cache.put(random.below(4), key, value, T0 + HOUR, version(order), T0), 'stored');
    }
  }
  t.notOk(cache.fits([{ key: KEY, value: new Uint8Array(VALUE_BYTES_MAX + 1) }]));
  t.notOk(cache.fits([{ key: new Uint8Array(KEY_BYTES_MAX + 1), value: NEW }]));
  t.notOk(cache.fits(Array.from({ length: 65 }, () => ({ key: KEY, value: new Uint8Array(960) }))));
});

t.test('expires within its budget, whole segments at a time', async (t) => {
  const cache = newCache({ capacityBytes: 2 ** 20 });
  for (let i = 0; i < 5000; i += 1) {
    cache.put(0, bytes(`${i}`), NEW, T0 + MINUTE, version(1), T0);
  }
  let calls = 0;
  for (let left = 5000; left > 0; calls += 1) {
    t.ok(cache.nextExpiry <= T0 + MINUTE);
    const gone = cache.expire(T0 + MINUTE, 200);
    t.ok(gone >= 200 || gone === left);
    t.ok(gone < 200 + 4096 / 48);
    left -= gone;
  }
  t.ok(calls > 15);
  t.equal(cache.nextExpiry, Infinity);
});
