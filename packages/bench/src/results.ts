import type { BenchError } from './bench-error.ts';
import type { Bar, Benchmark, Sample } from './benchmark.ts';
import type { Circumstances } from './machine.ts';
import { spread } from './figures.ts';

/** What came of a benchmark. */
export interface Results extends Circumstances {
  readonly benchmark: Benchmark;
  readonly rows: readonly Row[];
  /** Of contenders that did not start, or did not do the work as they should. */
  readonly failures: readonly BenchError[];
  readonly rounds: number;
  /** Of each run. */
  readonly seconds: number;
}

/** One contender under one load; one sample a round, or none of a round in which it failed. */
export interface Row {
  readonly load: string;
  readonly contender: string;
  readonly samples: readonly (Sample | undefined)[];
  /** Why there are no samples, or fewer. */
  readonly absent?: string;
}

export function figures(row: Row | undefined, figure: string): readonly number[] {
  return (row?.samples ?? []).flatMap((sample) => sample?.[figure] ?? []);
}

export function rowOf({ rows }: Results, load: string, contender: string): Row | undefined {
  return rows.find((row) => row.load === load && row.contender === contender);
}

/** Round by round, because what disturbs a round disturbs both. */
export function ratios(row: Row | undefined, base: Row | undefined, figure: string): number[] {
  return (row?.samples ?? []).flatMap((sample, round) => {
    const [own, other] = [sample?.[figure], base?.samples[round]?.[figure]];
    return own === undefined || !other ? [] : [own / other];
  });
}

export interface Verdict {
  readonly bar: Bar;
  /** Undefined when a row that it needs is not there. */
  readonly value: number | undefined;
  readonly met: boolean;
}

export function judge(results: Results): readonly Verdict[] {
  return results.benchmark.bars.map((bar) => {
    const row = rowOf(results, bar.load, bar.contender);
    const values = bar.over
      ? ratios(row, rowOf(results, bar.over.load, bar.over.contender), bar.figure)
      : figures(row, bar.figure);
    const value = spread(values)?.median;
    const within = (median: number) =>
      bar.sense === 'at most' ? median <= bar.limit : median >= bar.limit;
    return { bar, value, met: value !== undefined && within(value) };
  });
}
