import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { RARE } from './rare-events.ts';
import { replayOf, runSeeds, type SeedOutcome, Sightings } from './seed-runs.ts';

const USAGE = `usage: scripts/simulate [--seeds N] [--seed S] [--members M] [--jobs J]
  --seeds N    runs so many seeds, from 1 or from S (200)
  --seed S     replays this one, and says what it had and met
  --members M  in every cluster, instead of 2 to 9 as the seed draws
  --jobs J     threads (one for each processor)`;

/** So many seeds meet every rare event, or something keeps it from happening. */
const SEEDS_THAT_MEET_ALL = 200;
const PROGRESS_EVERY = 100;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string' },
    members: { type: 'string' },
    jobs: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}
const first = Number(values.seed ?? 1);
const count = Number(values.seeds ?? (values.seed === undefined ? SEEDS_THAT_MEET_ALL : 1));
const members = values.members === undefined ? undefined : Number(values.members);
const jobs = Number(values.jobs ?? availableParallelism());
const whole = [first, count, jobs, members ?? 2].every((value) => Number.isSafeInteger(value));
if (!whole || count < 1 || jobs < 1 || (members ?? 2) < 2) {
  console.error(USAGE);
  process.exit(2);
}
const startedAt = performance.now();
const seen = new Sightings();
const failed: number[] = [];
let done = 0;
const size = members === undefined ? {} : { members };
await runSeeds({ first, count, ...size, jobs, ended });
report();

function ended(outcome: SeedOutcome): void {
  const { seed } = outcome;
  if ('result' in outcome) {
    const { result } = outcome;
    seen.add(result);
    if (count === 1) console.log(`seed ${seed}: ${result.faults}\ndigest ${result.digest}`);
  } else {
    failed.push(seed);
    console.error(`seed ${seed}: ${outcome.failure}\nreplay: ${replayOf(seed, members)}`);
  }
  done += 1;
  if (done % PROGRESS_EVERY !== 0) return;
  const seconds = (performance.now() - startedAt) / 1000;
  const left = Math.round((seconds / done) * (count - done));
  console.error(`${done} of ${count} seeds, ${failed.length} failed, ${left} s left`);
}

function report(): void {
  for (const [event, times] of [...seen.counts].sort()) {
    console.log(`${String(times).padStart(9)} ${event}`);
  }
  const unseen = count < SEEDS_THAT_MEET_ALL ? [] : seen.lacking(RARE);
  if (unseen.length > 0) console.log(`never seen: ${unseen.join(', ')}`);
  if (failed.length > 0) console.log(`failed: ${failed.join(' ')}`);
  const slowestMs = Math.round(seen.slowestMs);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(
    `${count} seeds in ${seconds} s, ${failed.length} failed; settled at most ${slowestMs} ms after`,
  );
  process.exitCode = failed.length + unseen.length > 0 ? 1 : 0;
}
