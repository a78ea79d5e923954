import t from 'tap';
import { REPLAY_WINDOW_PACKETS, ReplayWindow } from '../src/replay-window.ts';

t.test('a packet number is accepted once, in whatever order they come', (t) => {
  const window = new ReplayWindow();
  const packets = [1, 2, 5, 3, 40, 33, 31, 32, 1_000, 999, 64, 63];
  for (const packet of packets) t.equal(window.accept(packet), true, `${packet}`);
  for (const packet of packets) t.equal(window.accept(packet), false, `${packet} again`);
  t.equal(window.accept(4), true, 'what has not come yet may still come');
  t.end();
});

t.test('what the window has passed is refused, seen or not', (t) => {
  const window = new ReplayWindow();
  window.accept(10);
  window.accept(REPLAY_WINDOW_PACKETS + 20);
  for (const packet of [1, 10, 20]) t.equal(window.accept(packet), false, `${packet}`);
  t.equal(window.accept(21), true, 'the oldest within it');
  t.end();
});

t.test('it agrees with a set of all numbers, whatever the steps', (t) => {
  let state = 7;
  const below = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % limit;
  };
  const window = new ReplayWindow();
  const seen = new Set<number>();
  let newest = -1;
  for (let index = 0; index < 100_000; index += 1) {
    const step = below(50) === 0 ? below(20_000) : below(60);
    const packet = Math.max(0, newest + step - (below(3) === 0 ? below(10_000) : 20));
    const old = packet + REPLAY_WINDOW_PACKETS <= newest;
    const verdict = old ? 'old' : seen.has(packet) ? 'seen' : 'new';
    if (window.judge(packet) !== verdict) t.fail(`packet ${packet} is ${verdict}`);
    newest = Math.max(newest, packet);
    seen.add(packet);
    if (window.accept(packet) !== (verdict === 'new')) t.fail(`packet ${packet}, newest ${newest}`);
    if (window.newest !== newest) t.fail(`newest is ${window.newest}, not ${newest}`);
  }
  t.pass('at each of 100 000');
  t.end();
});

t.test('judging changes nothing, and 0 is a number like any other', (t) => {
  const window = new ReplayWindow();
  t.equal(window.newest, -1);
  t.equal(window.judge(0), 'new');
  t.equal(window.judge(0), 'new');
  t.equal(window.accept(0), true);
  t.equal(window.judge(0), 'seen');
  t.equal(window.accept(0), false);
  t.equal(window.newest, 0);
  t.end();
});

t.test('numbers near the limit of what is read stay exact', (t) => {
  const window = new ReplayWindow();
  t.equal(window.accept(2 ** 48 - 1), true);
  t.equal(window.accept(2 ** 48 - 1), false);
  t.equal(window.accept(2 ** 48 - 2), true);
  t.end();
});
