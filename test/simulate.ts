import { parseArgs } from 'node:util';
import { hostileRun } from './hostile-run.ts';

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '200' }, seed: { type: 'string' } },
});
const first = Number(values.seed ?? 1);
const count = values.seed === undefined ? Number(values.seeds) : 1;
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) {
  console.error('usage: scripts/simulate [--seeds N] [--seed S], both whole numbers');
  process.exit(2);
}
let failed = 0;
let slowestMs = 0;
for (let seed = first; seed < first + count; seed += 1) {
  try {
    const { digest, settledAfterMs } = hostileRun(seed);
    slowestMs = Math.max(slowestMs, settledAfterMs);
    if (count === 1) console.log(`seed ${seed}: digest ${digest}`);
  } catch (error) {
    failed += 1;
    console.error(`seed ${seed}: ${String(error)}\nreplay: scripts/simulate --seed ${seed}`);
  }
  if (seed % 100 === 0) console.error(`${seed - first + 1} of ${count} seeds, ${failed} failed`);
}
console.log(`${count} seeds, ${failed} failed, settled at most ${Math.round(slowestMs)} ms after`);
process.exitCode = failed > 0 ? 1 : 0;
