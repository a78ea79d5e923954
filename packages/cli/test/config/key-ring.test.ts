import t from 'tap';
import { soleKey } from '@argyle/multicast';
import { encodeClusterKey } from '../../src/config/cluster-key.ts';
import { decodeKeyRing, encodeKeyRing } from '../../src/config/key-ring.ts';

const OLD = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 7 + 130));
const NEW = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 5 + 131));
const MADE = Date.UTC(2026, 10, 23);
const ring = { ...soleKey(OLD), keys: [NEW, OLD], madeAtMs: [MADE + 1, MADE] };

t.test('a ring is read as it was written, whatever ends its lines', (t) => {
  const text = encodeKeyRing(ring);
  t.same(decodeKeyRing(text, 0), { ring });
  t.same(decodeKeyRing(text.replaceAll('\n', '\r\n'), 0), { ring });
  t.end();
});

t.test('a cluster key’s file is a ring of one, as old as the file', (t) => {
  const read = decodeKeyRing(encodeClusterKey(OLD), MADE);
  t.same(read, { ring: { ...soleKey(OLD), madeAtMs: [MADE] } });
  t.end();
});

t.test('what is no ring is told without quoting it', (t) => {
  const text = encodeKeyRing(ring);
  const key = `key 2026-11-23T00:00:00.000Z ${NEW.toString('base64')}\n`;
  const cases: readonly [string, string][] = [
    ['hunter2', 'no first line "argyle cluster key 1"'],
    [text.replace(/cluster [0-9a-f]+/, 'cluster 12'), 'a second line that names no cluster'],
    [text.replace(/digest \S+/, 'digest AAAA'), 'a third line without a digest key'],
    [text.replace(/\nkey[^]*/, '\n'), '0 keys'],
    [text.replace('key 2026', 'key soon'), 'no date in line 4'],
    [text.replace(OLD.toString('base64'), 'hunter2!'), 'no key in base64 in line 5'],
    [text.replace(OLD.toString('base64'), 'AAAA'), 'a key of 3 bytes in line 5'],
    [text + key, 'a key twice'],
  ];
  for (const [wrong, found] of cases) t.same(decodeKeyRing(wrong, 0), { found });
  const many = Array.from({ length: 5 }, (_, index) =>
    Buffer.from(NEW.map((byte) => byte + index)),
  );
  t.same(decodeKeyRing(encodeKeyRing({ ...ring, keys: many, madeAtMs: many.map(() => MADE) }), 0), {
    found: '5 keys',
  });
  t.end();
});
