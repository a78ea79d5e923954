import type { Test } from 'tap';
import type { AbusedProcess } from './abused-process.ts';
import type { Counts } from './descriptors.ts';
import { AT_ONCE_MS } from './good-client.ts';
import { nonZero, type Metrics } from './metrics.ts';

export interface Survivor {
  readonly process: AbusedProcess;
  /** A good client; how long it took. */
  readonly visit: () => Promise<number>;
}

/**
 * What must hold of each process after any abuse: it lives, has complained of nothing, serves a
 * good client at once, and has nothing open that was not before. Answers what was counted during
 * the abuse; the visits are not in it.
 */
export async function survives(
  t: Test,
  survivors: readonly Survivor[],
  abuse: () => Promise<void>,
): Promise<readonly Metrics[]> {
  const before: { open: Counts; metrics: Metrics }[] = [];
  for (const { visit } of survivors) await visit();
  for (const { process } of survivors) {
    before.push({ open: await rest(process), metrics: await process.metrics() });
  }
  await abuse();
  const visits = [];
  for (const { visit } of survivors) visits.push(await visit());
  t.ok(Math.max(...visits) < AT_ONCE_MS, `a good client is served in ${rounded(visits)} ms`);
  const counted: Metrics[] = [];
  for (const [index, { process }] of survivors.entries()) {
    const { open, metrics } = before[index]!;
    const after = await process.settled(open);
    t.comment(`open before: ${told(open)}`);
    t.comment(`open after:  ${told(after)}`);
    t.equal(process.errors, '', 'no error is logged');
    counted.push((await process.metrics()).since(metrics));
  }
  return counted;
}

/** Does the work that many times, some of it at a time. */
export async function atOnce(
  count: number,
  workers: number,
  work: () => Promise<void>,
): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

/** Once what the last visit had open is closed: two looks that are alike. */
async function rest(process: AbusedProcess): Promise<Counts> {
  let last = await process.open();
  for (;;) {
    const now = await process.open();
    if (told(now) === told(last) && now['gauge tunnels'] === 0) return now;
    last = now;
  }
}

function told(counts: Counts): string {
  return JSON.stringify(nonZero(counts));
}

function rounded(values: readonly number[]): string {
  return values.map((value) => Math.round(value)).join(' and ');
}
