import t from 'tap';
import { FIRST_WINDOW_BYTES, Growth, ReceiveWindow, SendCredit } from '../src/credit.ts';

const MIB = 1024 * 1024;
const HALF = FIRST_WINDOW_BYTES / 2;

/** The peer sends all that it may, is stopped, and it is taken at once; what it may send then. */
function fill(window: ReceiveWindow, openBytes: number): number {
  t.ok(window.received(openBytes));
  return window.taken(openBytes) + window.blocked(false);
}

t.test('a window that stops its peer doubles, up to its bound', (t) => {
  const window = new ReceiveWindow(new Growth());
  const sizes = [];
  for (let open = FIRST_WINDOW_BYTES; sizes.length < 7;) {
    open = fill(window, open);
    sizes.push(open / 1024);
  }
  t.strictSame(sizes, [256, 512, 1024, 2048, 4096, 4096, 4096]);
  t.end();
});

t.test('a window behind a slow socket grows once', (t) => {
  const window = new ReceiveWindow(new Growth());
  const sizes = [];
  for (let open = FIRST_WINDOW_BYTES; sizes.length < 4;) {
    t.ok(window.received(open));
    open = window.blocked(true) + window.taken(open);
    sizes.push(open / 1024);
  }
  t.strictSame(sizes, [256, 256, 256, 256]);
  t.end();
});

t.test('a window that stops nobody stays as it is', (t) => {
  const window = new ReceiveWindow(new Growth());
  for (let round = 0; round < 10; round += 1) {
    t.ok(window.received(HALF));
    t.equal(window.taken(HALF), HALF);
  }
  t.end();
});

t.test('a peer that is stopped gets what was taken, however little', (t) => {
  const growth = new Growth();
  growth.take(Infinity);
  const window = new ReceiveWindow(growth);
  t.ok(window.received(HALF));
  t.equal(window.taken(1), 0);
  t.equal(window.blocked(true), 1);
  t.equal(window.blocked(true), 0);
  t.end();
});

t.test('what was not granted is refused', (t) => {
  const window = new ReceiveWindow(new Growth());
  t.ok(window.received(HALF));
  t.notOk(window.received(HALF + 1));
  t.equal(window.taken(HALF - 1), 0, 'little is granted together');
  t.notOk(window.received(HALF + 1));
  t.equal(window.taken(1), HALF);
  t.ok(window.received(2 * HALF));
  t.notOk(window.received(1));
  t.end();
});

t.test('windows of a connection grow by 8 MiB together, and closed ones make room', (t) => {
  const growth = new Growth();
  const windows = Array.from({ length: 20 }, () => new ReceiveWindow(growth));
  const sizes = windows.map((window) => {
    let open = FIRST_WINDOW_BYTES;
    for (let round = 0; round < 10; round += 1) open = fill(window, open);
    return open;
  });
  const sum = sizes.reduce((total, size) => total + size, 0);
  t.equal(sum, windows.length * FIRST_WINDOW_BYTES + 8 * MIB);
  windows[0]?.close();
  windows[0]?.close();
  t.equal(growth.take(Infinity), 4 * MIB - FIRST_WINDOW_BYTES);
  t.end();
});

t.test('credit is spent, granted, and bounded', (t) => {
  const credit = new SendCredit();
  t.equal(credit.spend(1), 1);
  t.equal(credit.spend(FIRST_WINDOW_BYTES), FIRST_WINDOW_BYTES - 1);
  t.notOk(credit.open);
  t.equal(credit.spend(1), 0);
  t.ok(credit.block(), 'it is to be said');
  t.notOk(credit.block(), 'once');
  t.ok(credit.grant(2 ** 31));
  t.notOk(credit.grant(1));
  t.notOk(new SendCredit().grant(0));
  t.end();
});

t.test('nothing small is cut off, and what is small leaves whole', (t) => {
  const credit = new SendCredit();
  credit.spend(HALF + 1);
  t.equal(credit.spend(FIRST_WINDOW_BYTES), 0);
  t.equal(credit.spend(100), 100);
  t.notOk(credit.open);
  t.ok(credit.grant(101));
  t.equal(credit.spend(FIRST_WINDOW_BYTES), HALF);
  t.end();
});

t.test('a sender and a receiver never wait for each other', (t) => {
  for (let size = 1; size <= 4 * FIRST_WINDOW_BYTES; size += 1_009) {
    const credit = new SendCredit();
    const window = new ReceiveWindow(new Growth());
    for (let left = 4 * MIB; left > 0;) {
      const sent = credit.spend(Math.min(size, left));
      if (sent === 0) return void t.fail(`parts of ${size} bytes stop ${left} before the end`);
      left -= sent;
      if (!window.received(sent)) return void t.fail('more came than was granted');
      const granted = window.taken(sent);
      if (granted > 0 && !credit.grant(granted)) return void t.fail('too much was granted');
    }
  }
  t.end();
});
