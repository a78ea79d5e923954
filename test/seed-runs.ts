import { Worker } from 'node:worker_threads';
import type { RunOptions, RunResult } from './hostile-run.ts';

export type SeedOutcome =
  | { readonly seed: number; readonly result: RunResult }
  | { readonly seed: number; readonly failure: string };

export interface SeedRuns {
  readonly first: number;
  readonly count: number;
  readonly members?: number;
  /** Threads; each seed runs in one. */
  readonly jobs: number;
  /** Told of each as it ends, in no order. */
  readonly ended: (outcome: SeedOutcome) => void;
}

/** Runs many seeds, as fast as the processors allow. */
export async function runSeeds({ first, count, members, jobs, ended }: SeedRuns): Promise<void> {
  let next = first;
  const options: Omit<RunOptions, 'seed'> = members === undefined ? {} : { members };
  const work = async () => {
    const worker = new Worker(new URL('./seed-worker.ts', import.meta.url), {
      workerData: options,
    });
    try {
      while (next < first + count) {
        const outcome = await ask(worker, next++);
        ended(outcome);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, count) }, work));
}

function ask(worker: Worker, seed: number): Promise<SeedOutcome> {
  const { promise, resolve, reject } = Promise.withResolvers<SeedOutcome>();
  worker.once('error', reject);
  worker.once('message', (outcome: SeedOutcome) => {
    worker.off('error', reject);
    resolve(outcome);
  });
  worker.postMessage(seed);
  return promise;
}

/** What many runs have seen, together. */
export class Sightings {
  readonly counts = new Map<string, number>();
  slowestMs = 0;

  add({ seen, settledAfterMs }: RunResult): void {
    this.slowestMs = Math.max(this.slowestMs, settledAfterMs);
    for (const [event, times] of seen) {
      this.counts.set(event, (this.counts.get(event) ?? 0) + times);
    }
  }

  lacking(events: readonly string[]): string[] {
    return events.filter((event) => !this.counts.has(event));
  }
}

export function replayOf(seed: number, members: number | undefined): string {
  return `scripts/simulate --seed ${seed}${members === undefined ? '' : ` --members ${members}`}`;
}
