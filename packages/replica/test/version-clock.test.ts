import t from 'tap';
import { VersionClock } from '../src/version-clock.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const clock = (author: string) => {
  const made = new VersionClock();
  made.adopt(author.repeat(16));
  return made;
};

t.test('a version is milliseconds, counter and author', (t) => {
  const made = clock('ab');
  t.equal(hex(made.stamp(0x0102_0304_0506)), '010203040506' + '0000' + 'abababababababab');
  t.equal(hex(made.stamp(0x0102_0304_0506)), '010203040506' + '0001' + 'abababababababab');
  t.end();
});

t.test('stamps rise when the wall clock stands still, steps back, or the counter is full', (t) => {
  const made = clock('01');
  let last = hex(made.stamp(5_000));
  for (let count = 0; count < 70_000; count += 1) {
    const next = hex(made.stamp(count % 2 ? 5_000 : 1_000));
    if (next <= last) t.fail(`${next} after ${last}`);
    last = next;
  }
  t.match(last, /^00000000138911/);
  t.end();
});

t.test('a stamp is greater than every version observed before it', (t) => {
  const ahead = clock('ff').stamp(9_000_000);
  const made = clock('01');
  made.observe(ahead);
  t.ok(hex(made.stamp(1_000)) > hex(ahead));
  t.end();
});
