import t from 'tap';
import { type Cache, type ScanCursor } from '../src/index.ts';
import { BUCKET } from '../src/entry.ts';
import { storeOf } from '../src/cache.ts';
import { bytes, hex, HOUR, MINUTE, newCache, SECOND, T0, text, version } from './fixture.ts';
import { Random } from './random.ts';

/** All that a scan shows, while `between` goes on between its calls. */
function scanAll(cache: Cache, limitBytes: number, now: number, between?: () => void) {
  const records = [];
  let calls = 0;
  for (let cursor: ScanCursor | undefined; ; calls += 1) {
    const page = cache.scan(cursor, undefined, limitBytes, now);
    records.push(...page.records);
    cursor = page.next;
    if (cursor === undefined) return { records, calls };
    if (calls > 100_000) throw new Error('the scan does not end');
    between?.();
  }
}

t.test('shows every record and tombstone once, in pages within the limit', async (t) => {
  const cache = newCache();
  for (let i = 0; i < 300; i += 1) {
    cache.put(i % 3, bytes(`${i}`), bytes(`v${i}`), T0 + HOUR, version(i + 1), T0);
  }
  cache.remove(0, bytes('0'), T0 + HOUR, version(1000), T0);
  const { records, calls } = scanAll(cache, 500, T0);
  t.equal(records.length, 300);
  t.equal(new Set(records.map(({ table, key }) => `${table} ${text(key)}`)).size, 300);
  t.ok(calls > 25);
  const found = records.find(({ key }) => text(key) === '7');
  t.same(found, {
    table: 1,
    key: bytes('7'),
    value: bytes('v7'),
    expiresAt: T0 + HOUR,
    version: version(8),
    tombstone: false,
  });
  t.match(
    records.find(({ tombstone }) => tombstone),
    { key: bytes('0'), value: bytes(''), expiresAt: T0 + HOUR, version: version(1000) },
  );
});

t.test('a page holds one record even if that is over the limit', async (t) => {
  const cache = newCache();
  for (let i = 0; i < 5; i += 1) cache.put(0, bytes(`${i}`), bytes('v'), T0 + HOUR, version(1), T0);
  t.equal(cache.scan(undefined, undefined, 0, T0).records.length, 1);
  t.equal(scanAll(cache, 0, T0).records.length, 5);
});

t.test('shows the wanted buckets only', async (t) => {
  const cache = newCache();
  for (let i = 0; i < 400; i += 1) {
    cache.put(0, bytes(`${i}`), bytes('v'), T0 + HOUR, version(1), T0);
  }
  const store = storeOf(cache);
  const seen = new Set<string>();
  for (let bucket = 0; bucket < 256; bucket += 1) {
    const wanted = new Uint8Array(32);
    wanted[bucket >>> 3] = 1 << (bucket & 7);
    const { records, next } = cache.scan(undefined, wanted, 1e6, T0);
    t.equal(next, undefined);
    for (const { key } of records) {
      const location = store.find(0, key);
      const { bytes: memory } = store.segments.of(location);
      t.equal(memory[store.segments.offset(location) + BUCKET], bucket);
      seen.add(hex(key));
    }
  }
  t.equal(seen.size, 400);
  t.same(cache.scan(undefined, new Uint8Array(32), 1e6, T0).records, []);
});

t.test('is bounded in what one call looks at, also where it finds nothing', async (t) => {
  const cache = newCache({ capacityBytes: 4 * 2 ** 20, segmentBytes: 2 ** 18 });
  for (let i = 0; i < 20_000; i += 1) {
    cache.put(0, bytes(`${i}`), bytes('v'), T0 + HOUR, version(1), T0);
  }
  let calls = 1;
  for (let cursor = cache.scan(undefined, new Uint8Array(32), 1e6, T0).next; cursor; calls += 1) {
    cursor = cache.scan(cursor, new Uint8Array(32), 1e6, T0).next;
  }
  t.equal(calls, 3);
});

t.test('misses nothing that stays, whatever goes on between its calls', async (t) => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const random = new Random(seed);
    const cache = newCache({ capacityBytes: 80 * 1024, segmentBytes: 2048, seed });
    const stay = new Map<string, number>();
    let order = 1;
    let now = T0;
    const churn = () => {
      order += 1;
      const life = [2 * SECOND, 30 * SECOND, 6 * HOUR, 24 * HOUR, 70 * HOUR][random.below(5)]!;
      const key = bytes(`churn ${random.below(300)}`);
      if (random.below(4) === 0) cache.remove(1, key, now + life, version(order), now);
      else cache.put(1, key, random.bytes(random.below(60)), now + life, version(order), now);
      now += random.below(4) === 0 ? 100 : 0;
      if (random.below(20) === 0) cache.expire(now, 50);
    };
    for (let i = 0; i < 600; i += 1) {
      order += 1;
      const key = `stays ${i}`;
      stay.set(key, order);
      const life = [6 * HOUR, 24 * HOUR, 70 * HOUR][random.below(3)]!;
      const outcome = cache.put(0, bytes(key), random.bytes(40), now + life, version(order), now);
      if (outcome !== 'stored') t.fail(outcome);
      churn();
    }
    const locations = () => [...stay.keys()].map((key) => storeOf(cache).find(0, bytes(key)));
    const before = locations();
    const { records } = scanAll(cache, 300, now, () => {
      for (let i = 0; i < 5; i += 1) churn();
    });
    const after = locations();
    const slid = before.filter((location, i) => location !== after[i]).length;
    t.ok(slid > 50, `${slid} slid meanwhile`);
    for (const { key } of records) stay.delete(text(key)!);
    t.same([...stay.keys()], [], `seed ${seed}`);
  }
});

t.test('sees a key that is overwritten all the time, where memory is not short', async (t) => {
  const cache = newCache({ segmentBytes: 2048 });
  let order = 1;
  const write = () => {
    order += 1;
    const life = [MINUTE, HOUR, 24 * HOUR][order % 3]!;
    cache.put(0, bytes('busy'), new Uint8Array(30), T0 + life, version(order), T0);
  };
  for (let i = 0; i < 200; i += 1) {
    const life = [MINUTE, HOUR, 24 * HOUR][i % 3]!;
    cache.put(0, bytes(`${i}`), new Uint8Array(50), T0 + life, version(1), T0);
    write();
  }
  const { records } = scanAll(cache, 400, T0, write);
  t.ok(records.some((record) => text(record.key) === 'busy'));
});

t.test('sees a key that moves to a segment begun before', async (t) => {
  const cache = newCache();
  cache.put(0, bytes('soon'), bytes(''), T0 + MINUTE, version(1), T0);
  for (const key of ['a', 'b', 'moves']) {
    cache.put(0, bytes(key), bytes(''), T0 + HOUR, version(1), T0);
  }
  const first = cache.scan(undefined, undefined, 100, T0);
  t.same(
    first.records.map(({ key }) => text(key)),
    ['soon', 'a'],
  );
  cache.put(0, bytes('moves'), bytes(''), T0 + MINUTE, version(2), T0);
  const rest = cache.scan(first.next, undefined, 1000, T0);
  t.same(
    rest.records.map(({ key }) => text(key)),
    ['b', 'moves'],
  );
});

t.test('begins a segment again where its place was forgotten', async (t) => {
  const cache = newCache({ capacityBytes: 4096, segmentBytes: 1024 });
  const put = (key: string, sizeBytes: number, order = 1) =>
    cache.put(0, bytes(key), new Uint8Array(sizeBytes), T0 + HOUR, version(order), T0);
  for (let i = 0; i < 4; i += 1) put(`dies ${i}`, 100);
  for (let i = 0; i < 6; i += 1) put(`stays ${i}`, 10);
  const first = cache.scan(undefined, undefined, 608, T0);
  t.equal(first.records.length, 4);
  for (let i = 0; i < 20; i += 1) cache.scan(undefined, undefined, 1, T0);
  for (let i = 0; i < 4; i += 1) put(`dies ${i}`, 300, 2);
  put('fills', 900);
  put('slides', 300);
  t.equal(storeOf(cache).segments.log[0]?.edition, 1);
  const rest = cache.scan(first.next, undefined, 1e6, T0);
  const keys = rest.records.map(({ key }) => text(key));
  for (let i = 0; i < 6; i += 1) t.ok(keys.includes(`stays ${i}`));
});

t.test('shows nothing twice where entries slide, and nothing written after they did', async (t) => {
  const cache = newCache({ capacityBytes: 4096, segmentBytes: 1024 });
  const { log } = storeOf(cache).segments;
  let order = 0;
  const put = (key: string, sizeBytes: number) => {
    order += 1;
    const value = new Uint8Array(sizeBytes);
    t.equal(cache.put(0, bytes(key), value, T0 + HOUR, version(order), T0), 'stored');
  };
  const read = (cursor: ScanCursor | undefined, limitBytes: number) => {
    const { records, next } = cache.scan(cursor, undefined, limitBytes, T0);
    return { keys: records.map(({ key }) => text(key)).join(' '), next };
  };
  // One segment of small entries of 64 bytes; the others are full of what stays.
  for (const key of ['a', 'x', 'b', 'c', 'y', 'd', 'e', 'z']) put(key, 16);
  put('large', 400);
  for (let i = 0; i < 3; i += 1) put(`stays ${i}`, 970);
  const first = read(undefined, 64);
  t.equal(first.keys, 'a');
  for (const key of ['x', 'large']) cache.remove(0, bytes(key), T0 + HOUR, version(100), T0);
  put('n1', 100);
  t.equal(log[0]?.edition, 1);
  const second = read(first.next, 128);
  t.equal(second.keys, 'x b', 'a tombstone now');
  for (const key of ['a', 'y']) cache.put(0, bytes(key), bytes(''), 0, version(101), T0);
  for (let i = 2; log[0]?.edition === 1; i += 1) {
    put(`n${i}`, 100);
    if (i % 2 === 0) put('n1', 16);
  }
  const rest = read(second.next, 320);
  t.equal(rest.keys, 'c y d e z');
  t.match(read(rest.next, 5000).keys, /^large stays 0 stays 1 stays 2$/);
});

t.test('ends, however much is written between its calls', async (t) => {
  for (const capacityBytes of [16 * 1024, 2 ** 20]) {
    const cache = newCache({ capacityBytes, segmentBytes: 2048 });
    let order = 1;
    const write = () => {
      for (let i = 0; i < 10; i += 1) {
        order += 1;
        const key = bytes(`${order % 150}`);
        cache.put(0, key, new Uint8Array(20), T0 + HOUR, version(order), T0);
      }
    };
    for (let i = 0; i < 15; i += 1) write();
    const { calls } = scanAll(cache, 100, T0, write);
    t.ok(calls < (3 * capacityBytes) / 64, `${calls} calls`);
  }
});

t.test('keeps its place where entries slide, for sixteen at once and more', async (t) => {
  const cache = newCache({ capacityBytes: 16 * 1024, segmentBytes: 4096 });
  const random = new Random(11);
  let order = 0;
  const write = (key: string, life: number) => {
    order += 1;
    cache.put(0, bytes(key), random.bytes(random.below(30)), T0 + life, version(order), T0);
  };
  const stay = Array.from({ length: 60 }, (_, i) => `stays ${i}`);
  for (const key of stay) {
    write(key, 5 * HOUR);
    for (let i = 0; i < 4; i += 1) write(`churn ${random.below(70)}`, HOUR);
  }
  const scans = Array.from({ length: 40 }, () => ({
    seen: new Set<string>(),
    cursor: undefined as ScanCursor | undefined,
    ended: false,
    pages: 0,
  }));
  for (let round = 0; scans.some(({ ended }) => !ended); round += 1) {
    if (round > 100_000) throw new Error('the scans do not end');
    const scan = scans[random.below(scans.length)]!;
    for (let i = 0; i < 2; i += 1) write(`churn ${random.below(70)}`, HOUR);
    if (scan.ended) continue;
    const { records, next } = cache.scan(scan.cursor, undefined, 200, T0);
    for (const { key } of records) scan.seen.add(text(key)!);
    scan.cursor = next;
    scan.ended = next === undefined;
    scan.pages += 1;
  }
  for (const { seen } of scans) {
    const missed = stay.filter((key) => !seen.has(key));
    if (missed.length > 0) t.fail(`missed ${missed.join()}`);
  }
  t.ok(scans.every(({ pages }) => pages > 20));
});

t.test('goes on where its segment is gone', async (t) => {
  const cache = newCache({ segmentBytes: 1024 });
  for (let i = 0; i < 100; i += 1) {
    const expiresAt = T0 + (i < 50 ? MINUTE : HOUR);
    cache.put(0, bytes(`${i}`), new Uint8Array(30), expiresAt, version(1), T0);
  }
  const first = cache.scan(undefined, undefined, 400, T0);
  cache.expire(T0 + MINUTE, 10_000);
  const rest = cache.scan(first.next, undefined, 1e6, T0 + MINUTE);
  t.equal(rest.records.length, 50);
});

t.test('gives an order that two placements share', async (t) => {
  const orders = [1, 2].map((seed) => {
    const cache = newCache({ seed });
    for (let i = 0; i < 200; i += 1) {
      cache.put(0, bytes(`${i}`), bytes('v'), T0 + HOUR, version(1), T0);
    }
    return scanAll(cache, 1000, T0).records.map(({ key }) => text(key));
  });
  t.same(orders[0], orders[1]);
});
