import t from 'tap';
import { hostileRun } from './hostile-run.ts';
import { runSeeds } from './seed-runs.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const SEEDS = FULL ? 5_000 : 250;
/** After so many seeds it says how far it is. */
const TOLD_EVERY = 500;
/** What the seeds together must have met, or the suite proves less than it says. */
const RARE = [
  'a cache lost a record',
  'a client paused',
  'a client stood still',
  'a client was found at another address',
  'a datagram of a client was forged',
  'a datagram of a node was forged or replayed',
  'a former owner served again',
  'a node lost its memory',
  'a node paused',
  'a node stood still',
  'a path was cut one way',
  'a payload reached the target twice',
  'a payload went another way',
  'a record was overtaken',
  'client drops: authentication',
  'client drops: epoch',
  'client drops: replayed',
  'client drops: stale take',
  'client drops: take',
  'client: ended',
  'client: moved: left',
  'client: moved: refused',
  'client: moved: removed',
  'client: moved: silent',
  'client: moved: taken',
  'client: unreachable',
  'left too hastily',
  'node drops: association',
  'node drops: authentication',
  'node drops: draining',
  'node drops: left',
  'node drops: opening',
  'node drops: replayed',
  'node drops: takes',
  'node drops: trigger',
  'node keeps: address',
  'node: claim',
  'node: drained',
  'node: ended',
  'node: let go',
  'node: renew',
  'node: replay',
  'sent again: missing',
  'sent again: unsure',
  'two nodes held an association',
  'two nodes served an association at once',
  'two nodes would take the same association',
  'writes crossed',
];

t.test(`${SEEDS} seeds of loss, replay, kill, freeze, drain, moves and deletion`, async (t) => {
  const seen = new Map<string, number>();
  let [ended, failed] = [0, 0];
  await runSeeds(SEEDS, (outcome) => {
    if ('seen' in outcome) {
      for (const [event, count] of outcome.seen) seen.set(event, (seen.get(event) ?? 0) + count);
    } else {
      failed += 1;
      t.fail(`seed ${outcome.seed}: ${outcome.failure}`);
    }
    ended += 1;
    if (ended % TOLD_EVERY === 0) t.comment(`${ended} of ${SEEDS} seeds, ${failed} failed`);
  });
  t.equal(ended, SEEDS);
  t.comment('seen: ', seen);
  for (const event of RARE) t.ok((seen.get(event) ?? 0) > 0, `was seen: ${event}`);
});

t.test('the same seed is the same run', (t) => {
  for (const seed of [7, 8, 9]) {
    t.equal(hostileRun(seed).digest, hostileRun(seed).digest, `seed ${seed}`);
  }
  t.not(hostileRun(7).digest, hostileRun(8).digest);
  t.end();
});
