import t from 'tap';
import { RoundTime } from '../src/round-time.ts';

t.test('where rounds are short and alike a loss is noticed soon', (t) => {
  const round = new RoundTime();
  t.equal(round.waitMs(1), 25, 'before anything was measured');
  for (let measures = 0; measures < 50; measures += 1) round.measured(0.5);
  t.equal(round.ms, 0.5);
  t.equal(round.waitMs(1), 10.5);
  t.end();
});

t.test('where they differ more is allowed for, and never more than half a second', (t) => {
  const round = new RoundTime();
  for (let measures = 0; measures < 400; measures += 1) round.measured(measures % 2 === 0 ? 1 : 41);
  t.ok(round.ms > 15 && round.ms < 27, `${round.ms}`);
  t.ok(round.waitMs(1) > 41 + 20, `${round.waitMs(1)}`);
  for (let measures = 0; measures < 400; measures += 1) round.measured(900 * (measures % 2));
  t.equal(round.waitMs(1), 500);
  t.end();
});

t.test('what waits in vain makes all wait longer, until something is measured', (t) => {
  const round = new RoundTime();
  round.measured(1);
  t.equal(round.waitMs(1), 11);
  t.equal(round.waitMs(3), 44);
  t.equal(round.waitMs(9), 16 * 11);
  round.timedOut(0, 100);
  round.timedOut(50, 101);
  t.equal(round.waitMs(1), 22, 'those that were under way together count once');
  round.timedOut(101, 130);
  t.equal(round.waitMs(1), 44);
  t.equal(round.waitMs(2), 44);
  round.measured(1);
  t.equal(round.waitMs(1), 1 + 10);
  t.end();
});
