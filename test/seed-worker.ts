import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { hostileRun, type RunOptions } from './hostile-run.ts';
import type { SeedOutcome } from './seed-runs.ts';

/** Runs the seeds that it is asked for, one after the other (seed-runs.ts). */
if (!isMainThread) {
  const options = workerData as Omit<RunOptions, 'seed'>;
  parentPort?.on('message', (seed: number) => {
    parentPort?.postMessage(outcomeOf({ ...options, seed }));
  });
}

function outcomeOf(options: RunOptions): SeedOutcome {
  const { seed } = options;
  try {
    return { seed, result: hostileRun(options) };
  } catch (error) {
    return { seed, failure: error instanceof Error ? (error.stack ?? String(error)) : 'unknown' };
  }
}
