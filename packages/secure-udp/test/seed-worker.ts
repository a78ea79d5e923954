import { isMainThread, parentPort } from 'node:worker_threads';
import { hostileRun, type RunResult } from './hostile-run.ts';

export type SeedOutcome =
  | { readonly seed: number; readonly seen: RunResult['seen'] }
  | { readonly seed: number; readonly failure: string };

/** Runs the seeds that it is asked for, one after the other (seed-runs.ts). */
if (!isMainThread) {
  parentPort?.on('message', (seed: number) => parentPort?.postMessage(outcomeOf(seed)));
}

function outcomeOf(seed: number): SeedOutcome {
  try {
    return { seed, seen: hostileRun(seed).seen };
  } catch (error) {
    return { seed, failure: error instanceof Error ? (error.stack ?? String(error)) : 'unknown' };
  }
}
