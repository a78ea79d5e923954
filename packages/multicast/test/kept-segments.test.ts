import t from 'tap';
import { KeptSegments } from '../src/kept-segments.ts';

const MEMBER = 'a'.repeat(32);
const MOST = 16 * 1024 * 1024;

t.test('what is kept is a copy, and goes out once while it is under way', (t) => {
  const kept = new KeptSegments();
  const bytes = Uint8Array.of(1, 2, 3);
  kept.keep(7, bytes, MOST);
  bytes.fill(0);
  t.equal(kept.want(8, MEMBER, 0), false);
  t.ok(kept.want(7, MEMBER, 0));
  t.equal(kept.take(0), undefined, 'others may want it too');
  t.equal(kept.deadline, 2);
  t.same(kept.take(2)?.bytes, Uint8Array.of(1, 2, 3));
  t.ok(kept.want(7, MEMBER, 5));
  t.equal(kept.take(20), undefined);
  t.ok(kept.want(7, MEMBER, 20));
  t.ok(kept.take(22));
  t.end();
});

t.test('what goes out stays as it was while its room is used again', (t) => {
  const kept = new KeptSegments();
  kept.keep(1, Uint8Array.of(1, 1, 1), MOST);
  kept.want(1, MEMBER, 0);
  const first = kept.take(2);
  kept.release(2);
  kept.keep(2, Uint8Array.of(2, 2), MOST);
  kept.keep(3, Uint8Array.of(3, 3, 3, 3), MOST);
  t.same(first?.bytes, Uint8Array.of(1, 1, 1));
  for (const sequence of [2, 3]) {
    kept.want(sequence, MEMBER, 10 * sequence);
    t.same(
      kept.take(10 * sequence + 2)?.bytes,
      new Uint8Array(sequence === 2 ? 2 : 4).fill(sequence),
    );
  }
  t.end();
});

t.test('what all have applied is freed, and the oldest when there is too much', (t) => {
  const kept = new KeptSegments();
  for (const sequence of [1, 3, 2]) kept.keep(sequence, Uint8Array.of(sequence), MOST);
  kept.release(3);
  t.notOk(kept.want(1, MEMBER, 0));
  t.notOk(kept.want(2, MEMBER, 0));
  t.ok(kept.want(3, MEMBER, 0));
  for (let sequence = 4; sequence <= 1_027; sequence += 1)
    kept.keep(sequence, Uint8Array.of(1), MOST);
  t.notOk(kept.want(3, MEMBER, 0));
  t.ok(kept.want(4, MEMBER, 0));
  const large = new Uint8Array(8 * 1024 * 1024);
  for (let sequence = 1_028; sequence <= 1_030; sequence += 1) kept.keep(sequence, large, MOST);
  t.notOk(kept.want(1_027, MEMBER, 0));
  t.notOk(kept.want(1_028, MEMBER, 0));
  t.ok(kept.want(1_029, MEMBER, 0));
  t.end();
});
