import t from 'tap';
import { hostileRun } from './hostile-run.ts';

const SEEDS = process.env['ARGYLE_TEST_FULL'] === '1' ? 2_000 : 200;
/** What the seeds together must have met, or the suite proves less than it says. */
const RARE = [
  'write timeout',
  'write restarted',
  'gone: gone',
  'gone: silent',
  'gone: deaf',
  'gone: stalled',
  'gone: conflict',
  'gone: left',
  'restarted',
  'exchange failed',
  'dropped: excluded',
  'dropped: not admitted',
];

t.test(`${SEEDS} seeds of join, write, lose, crash, partition and heal`, (t) => {
  const seen = new Map<string, number>();
  let slowestMs = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    try {
      const result = hostileRun(seed);
      slowestMs = Math.max(slowestMs, result.settledAfterMs);
      for (const [event, count] of result.seen) seen.set(event, (seen.get(event) ?? 0) + count);
    } catch (error) {
      t.fail(`seed ${seed}: ${String(error)}; replay: scripts/simulate --seed ${seed}`);
    }
  }
  t.comment(`settled at most ${Math.round(slowestMs)} ms after the faults; seen: `, seen);
  for (const event of RARE) t.ok((seen.get(event) ?? 0) > 0, `was seen: ${event}`);
  t.end();
});

t.test('the same seed is the same run', (t) => {
  for (const seed of [7, 8, 9]) {
    t.equal(hostileRun(seed).digest, hostileRun(seed).digest, `seed ${seed}`);
  }
  t.not(hostileRun(7).digest, hostileRun(8).digest);
  t.end();
});
