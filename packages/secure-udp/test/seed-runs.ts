import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { SeedOutcome } from './seed-worker.ts';

const WORKER = new URL('./seed-worker.ts', import.meta.url);

/** One processor is left to the file that is tested beside this one. */
const JOBS = Math.max(1, availableParallelism() - 1);

/** Runs the seeds from 1 to `count`; told of each as it ends. */
export async function runSeeds(
  count: number,
  ended: (outcome: SeedOutcome) => void,
): Promise<void> {
  let next = 1;
  const work = async () => {
    const worker = new Worker(WORKER);
    try {
      while (next <= count) {
        const answered = once(worker, 'message');
        worker.postMessage(next);
        next += 1;
        const [outcome] = (await answered) as [SeedOutcome];
        ended(outcome);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(JOBS, count) }, work));
}
