import t from 'tap';
import { FIRST_WINDOW_BYTES, Growth, ReceiveWindow, SendCredit } from '../src/credit.ts';

const MIB = 1024 * 1024;

/** The peer sends all that it may, and it is taken at once. */
function fill(window: ReceiveWindow, openBytes: number): number {
  t.ok(window.received(openBytes, false));
  return window.taken(openBytes);
}

t.test('a window that is used up at once doubles, up to its bound', (t) => {
  const window = new ReceiveWindow(new Growth());
  const sizes = [];
  for (let open = FIRST_WINDOW_BYTES; sizes.length < 8;) {
    open = fill(window, open);
    sizes.push(open / 1024);
  }
  t.strictSame(sizes, [128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
  t.end();
});

t.test('a window behind a slow socket stays as it is', (t) => {
  const window = new ReceiveWindow(new Growth());
  for (let round = 0; round < 10; round += 1) {
    t.ok(window.received(FIRST_WINDOW_BYTES / 2, false));
    t.ok(window.received(FIRST_WINDOW_BYTES / 2, true));
    t.equal(window.taken(FIRST_WINDOW_BYTES), FIRST_WINDOW_BYTES);
  }
  t.end();
});

t.test('what was not granted is refused', (t) => {
  const window = new ReceiveWindow(new Growth());
  t.ok(window.received(FIRST_WINDOW_BYTES - 1, false));
  t.notOk(window.received(2, true));
  t.ok(window.received(1, true));
  t.equal(window.taken(FIRST_WINDOW_BYTES / 2 - 1), 0, 'little is granted together');
  t.notOk(window.received(1, true));
  t.equal(window.taken(1), FIRST_WINDOW_BYTES / 2);
  t.ok(window.received(FIRST_WINDOW_BYTES / 2, true));
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
  credit.spend(FIRST_WINDOW_BYTES);
  t.equal(credit.leftBytes, 0);
  t.ok(credit.grant(2 ** 31));
  t.notOk(credit.grant(1));
  t.notOk(new SendCredit().grant(0));
  t.end();
});
