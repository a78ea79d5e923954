import { BenchError } from './bench-error.ts';
import type { Benchmark, Contender, Sample, Subject } from './benchmark.ts';
import type { Results, Row } from './results.ts';
import { MachineWatch } from './machine.ts';
import { missingPackages, Site, type SiteOptions } from './site.ts';

export interface RunOptions extends SiteOptions {
  readonly rounds: number;
  /** Families; empty: all. */
  readonly only: readonly string[];
  /** Parts of names of loads; empty: all. */
  readonly loads: readonly string[];
  /** Told before each run. */
  readonly progress: (line: string) => void;
}

/** After so many a contender is not asked again. */
const FAILURES_MAX = 3;

/**
 * Puts every load to every contender, one after the other, round by round, so that what disturbs
 * the machine for a while disturbs all of them.
 */
export async function runBenchmark(benchmark: Benchmark, options: RunOptions): Promise<Results> {
  await using site = new Site(options);
  await using run = new Run(benchmark, site, options);
  // A round before the others lets runtimes compile what they run; small ones measure nothing.
  const first = benchmark.fresh || options.small ? 1 : 0;
  for (let round = first; round <= options.rounds; round += 1) await run.round(round);
  return run.results();
}

interface Entrant {
  readonly contender: Contender;
  readonly failures: BenchError[];
  /** Why it is not measured, or no longer. */
  absent: string | undefined;
  subject: Subject | undefined;
}

class Run implements AsyncDisposable {
  readonly #benchmark: Benchmark;
  readonly #site: Site;
  readonly #options: RunOptions;
  readonly #entrants: readonly Entrant[];
  readonly #loads: readonly string[];
  readonly #samples = new Map<string, (Sample | undefined)[]>();
  readonly #subjects = new AsyncDisposableStack();
  readonly #watch = new MachineWatch();

  constructor(benchmark: Benchmark, site: Site, options: RunOptions) {
    const { only, loads } = options;
    this.#benchmark = benchmark;
    this.#site = site;
    this.#options = options;
    this.#entrants = benchmark.contenders
      .filter(({ family }) => only.length === 0 || only.includes(family))
      .map((contender): Entrant => {
        const missing = missingPackages(contender.needs);
        const absent = missing.length > 0 ? `not installed: ${missing.join(', ')}` : undefined;
        return { contender, failures: [], absent, subject: undefined };
      });
    this.#loads = benchmark.loads.filter(
      (load) => loads.length === 0 || loads.some((part) => load.includes(part)),
    );
  }

  /** Samples of round 0 are thrown away. */
  async round(round: number): Promise<void> {
    const { progress, rounds } = this.#options;
    for (const load of this.#loads) {
      for (const entrant of this.#entrants) {
        if (entrant.absent !== undefined) continue;
        const { name } = entrant.contender;
        progress(`${this.#benchmark.name}: ${load}: ${name}, ${round} of ${rounds}`);
        const sample = await this.#try(entrant, load);
        if (round > 0) this.#samplesOf(load, name)[round - 1] = sample;
      }
    }
  }

  results(): Results {
    const rows = this.#loads.flatMap((load) =>
      this.#entrants.map(({ contender: { name }, absent }): Row => {
        const row = { load, contender: name, samples: this.#samplesOf(load, name) };
        return absent === undefined ? row : { ...row, absent };
      }),
    );
    const { rounds, seconds } = this.#options;
    const failures = this.#entrants.flatMap((entrant) => entrant.failures);
    const benchmark = this.#benchmark;
    return { benchmark, rows, failures, rounds, seconds, ...this.#watch.circumstances };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#subjects.disposeAsync();
  }

  async #try(entrant: Entrant, load: string): Promise<Sample | undefined> {
    try {
      return await this.#watch.during(() => this.#measure(entrant, load));
    } catch (error) {
      if (!(error instanceof BenchError)) throw error;
      this.#options.progress(`${entrant.contender.name}: ${error.message}`);
      entrant.failures.push(error);
      if (entrant.failures.length === FAILURES_MAX) entrant.absent = 'failed';
      return undefined;
    }
  }

  async #measure(entrant: Entrant, load: string): Promise<Sample> {
    if (this.#benchmark.fresh) {
      await using subject = await entrant.contender.open(this.#site);
      return await subject.measure(load);
    }
    entrant.subject ??= this.#subjects.use(await entrant.contender.open(this.#site));
    return entrant.subject.measure(load);
  }

  #samplesOf(load: string, contender: string): (Sample | undefined)[] {
    const key = `${load}\n${contender}`;
    const samples = this.#samples.get(key) ?? [];
    this.#samples.set(key, samples);
    return samples;
  }
}
