import t from 'tap';
import { randomBackoff, RepairCycle, type RepairTiming } from '../src/repair-cycle.ts';

const MISSING = [{ first: 5, count: 2 }];
const timing = (askers: number, uniform = 0.5) => {
  const given: RepairTiming = { roundMs: 10, askers, random: () => uniform };
  return () => given;
};

t.test('who asks alone does so once the gap has lasted 2 ms, then after six round trips', (t) => {
  const cycle = new RepairCycle();
  t.equal(cycle.deadline, Infinity);
  cycle.watch(true, timing(1), 100);
  t.equal(cycle.deadline, 102);
  t.same(cycle.due(MISSING, timing(1), 101), []);
  t.same(cycle.due(MISSING, timing(1), 102), MISSING);
  t.equal(cycle.deadline, 162);
  t.same(cycle.due(MISSING, timing(1), 162), MISSING);
  t.end();
});

t.test('a gap that closes in time is not asked for', (t) => {
  const cycle = new RepairCycle();
  cycle.watch(true, timing(8), 0);
  cycle.watch(false, timing(8), 1);
  t.equal(cycle.deadline, Infinity);
  t.equal(cycle.suppressed, 0);
  t.end();
});

t.test('of many each waits for a while of its own, and asks for what is left', (t) => {
  const cycle = new RepairCycle();
  cycle.watch(true, timing(8), 0);
  const { deadline } = cycle;
  t.ok(deadline > 2 && deadline < 42, `${deadline}`);
  cycle.heard([{ first: 1, count: 5 }]);
  t.same(cycle.due(MISSING, timing(8), deadline), [{ first: 6, count: 1 }]);
  t.equal(cycle.deadline, deadline + 60);
  t.equal(cycle.suppressed, 1);
  t.end();
});

t.test('who was spared holds off as if it had asked, and then begins again', (t) => {
  const cycle = new RepairCycle();
  cycle.watch(true, timing(8), 0);
  cycle.heard(MISSING);
  const askAt = cycle.deadline;
  t.same(cycle.due(MISSING, timing(8), askAt), []);
  const again = cycle.deadline;
  t.equal(again, askAt + 60);
  cycle.heard(MISSING);
  t.same(cycle.due(MISSING, timing(8), again), [], 'a wait of its own');
  t.ok(cycle.deadline > again);
  t.same(cycle.due(MISSING, timing(8), cycle.deadline), MISSING, 'what was heard before is over');
  t.end();
});

t.test('the wait is within four round trips, and the more ask, the fewer come early', (t) => {
  for (const size of [2, 8, 124, 10_000]) {
    t.equal(randomBackoff(40, size, 0), 0);
    t.ok(randomBackoff(40, size, 1 - 2 ** -32) <= 40);
    const early = Array.from({ length: 1_000 }, (_, at) => randomBackoff(40, size, at / 1_000));
    const expected = size * (early.filter((ms) => ms < 10).length / 1_000);
    t.ok(expected < 12, `${expected.toFixed(1)} of ${size} within a round trip`);
  }
  t.end();
});
