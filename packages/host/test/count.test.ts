import t from 'tap';
import { readCount, writeCount } from '../src/count.ts';

t.test('a count is read as it was written, at any place', (t) => {
  const bytes = Buffer.alloc(11, 0xee);
  for (const count of [0, 1, 0xffff_ffff, 0x1_0000_0000, 123_456_789_012_345, 2 ** 48 - 1]) {
    writeCount(bytes, count, 2);
    t.equal(readCount(bytes, 2), count);
    t.equal(bytes.readBigUInt64BE(2), BigInt(count));
  }
  t.same([bytes[1], bytes[10]], [0xee, 0xee]);
  t.end();
});

t.test('what no honest sender reaches is told as infinite', (t) => {
  const bytes = Buffer.alloc(8);
  for (const count of [2n ** 48n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
    bytes.writeBigUInt64BE(count);
    t.equal(readCount(bytes, 0), Infinity);
  }
  t.end();
});
