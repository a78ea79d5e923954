import { availableParallelism } from 'node:os';
import t, { type Test } from 'tap';
import { hostileRun } from './hostile-run.ts';
import { RARE } from './rare-events.ts';
import { replayOf, runSeeds, type SeedOutcome, Sightings } from './seed-runs.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const SEEDS = FULL ? 10_000 : 200;
/** Large groups, of which a seed takes twenty seconds, in full runs only. */
const LARGE = { members: 32, seeds: 50 };

/** Seeds that found something, in the words of what they found. */
const FOUND: readonly [seed: number, found: string][] = [
  [154, 'a joiner was ready without a long message in whose middle it had joined'],
  [996, 'who goes first was ready without what a newcomer had told those it had asked before'],
];

t.test(`${SEEDS} seeds of join, write, lose, crash, partition and heal`, async (t) => {
  const seen = await run(t, SEEDS, undefined);
  t.same(seen.lacking(RARE), [], 'every rare event was seen');
});

if (FULL) {
  t.test(`${LARGE.seeds} seeds of ${LARGE.members} members`, (t) =>
    run(t, LARGE.seeds, LARGE.members),
  );
}

async function run(t: Test, count: number, members: number | undefined): Promise<Sightings> {
  const seen = new Sightings();
  const size = members === undefined ? {} : { members };
  const ended = (outcome: SeedOutcome) => {
    const { seed } = outcome;
    if ('result' in outcome) seen.add(outcome.result);
    else t.fail(`seed ${seed}: ${outcome.failure}; replay: ${replayOf(seed, members)}`);
  };
  await runSeeds({ first: 1, count, ...size, jobs: availableParallelism(), ended });
  const slowestMs = Math.round(seen.slowestMs);
  t.comment(`settled at most ${slowestMs} ms after the faults; seen: `, seen.counts);
  return seen;
}

for (const [seed, found] of FOUND) {
  t.test(`seed ${seed}, which found that ${found}`, (t) => {
    t.ok(hostileRun({ seed }).digest);
    t.end();
  });
}

t.test('the same seed is the same run', (t) => {
  const digest = (seed: number) => hostileRun({ seed, members: 3 }).digest;
  for (const seed of [7, 8]) t.equal(digest(seed), digest(seed), `seed ${seed}`);
  t.not(digest(7), digest(8));
  t.end();
});
