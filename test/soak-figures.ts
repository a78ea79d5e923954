import { writeFileSync } from 'node:fs';
import { CLIENT, nameOf, type Metrics, type SoakCluster } from './soak-cluster.ts';
import { clockMs } from './soak-load.ts';

/** What is sampled of each process, and the metrics that are added up for it. */
const SERIES = {
  rss: ['process_resident_memory_bytes'],
  heap: ['nodejs_heap_size_used_bytes'],
  heapTotal: ['nodejs_heap_size_total_bytes'],
  external: ['nodejs_external_memory_bytes'],
  handles: ['nodejs_active_handles_total'],
  timers: ['nodejs_active_resources{type="Timeout"}'],
  tunnels: ['tunnels', 'client_tunnels'],
  connections: ['connections', 'client_connections'],
  records: ['cache_records'],
  tombstones: ['cache_tombstones'],
  cacheBytes: ['cache_bytes'],
  cpu: ['process_cpu_seconds_total'],
  lagP99: ['nodejs_eventloop_lag_p99_seconds'],
} as const;

export type FigureName = keyof typeof SERIES | 'descriptors';
const NAMES = [...Object.keys(SERIES), 'descriptors'] as readonly FigureName[];

export interface Sample {
  readonly atMs: number;
  readonly index: number;
  readonly pid: number;
  readonly figures: Readonly<Record<FigureName, number>>;
}

/** Of the run's second and last quarter. */
export interface Quarters {
  readonly second: number;
  readonly last: number;
}

/** What the processes said of themselves over time. */
export class Figures {
  readonly samples: Sample[] = [];
  readonly #cluster: SoakCluster;

  constructor(cluster: SoakCluster) {
    this.#cluster = cluster;
  }

  /** Of one process; undefined when it does not answer, because it is down. */
  async sample(index: number): Promise<Sample | undefined> {
    try {
      const pid = this.#cluster.pid(index);
      const descriptors = this.#cluster.descriptors(index);
      const metrics = await this.#cluster.metrics(index);
      const figures = { ...figuresOf(metrics), descriptors };
      const sample = { atMs: clockMs(), index, pid, figures };
      this.samples.push(sample);
      return sample;
    } catch {
      return undefined;
    }
  }

  of(index: number, name: FigureName): readonly number[] {
    return this.samples.filter((one) => one.index === index).map(({ figures }) => figures[name]);
  }

  /** Medians. The first quarter is left for warming up. */
  quarters(index: number, name: FigureName, between: { fromMs: number; toMs: number }): Quarters {
    const { fromMs, toMs } = between;
    const quarter = (number: number) => {
      const [begin, end] = [number, number + 1].map((n) => fromMs + (n * (toMs - fromMs)) / 4);
      const within = this.samples.filter(
        ({ atMs, index: of }) => of === index && atMs >= begin! && atMs < end!,
      );
      return median(within.map(({ figures }) => figures[name]));
    };
    return { second: quarter(1), last: quarter(3) };
  }

  /** One line a sample. */
  writeCsv(path: string): void {
    const first = this.samples[0]?.atMs ?? 0;
    const lines = this.samples.map(({ atMs, index, pid, figures }) => {
      const seconds = ((atMs - first) / 1_000).toFixed(1);
      return [seconds, nameOf(index), pid, ...NAMES.map((name) => figures[name])].join();
    });
    writeFileSync(path, `${['seconds', 'process', 'pid', ...NAMES].join()}\n${lines.join('\n')}\n`);
  }
}

function figuresOf(metrics: Metrics) {
  const sums = Object.entries(SERIES).map(([name, series]) => [name, sum(metrics, series)]);
  return Object.fromEntries(sums) as Record<keyof typeof SERIES, number>;
}

/** What is not shown is 0: the client has no cache, and no timer has no series. */
function sum(metrics: Metrics, series: readonly string[]): number {
  return series.reduce((total, name) => total + (metrics.get(name) ?? 0), 0);
}

export function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((left, right) => left - right),
    0.5,
  );
}

/** Of values in ascending order. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

export const PROCESSES = [CLIENT, 1, 2, 3];
