import { BenchError } from './bench-error.ts';
import type { Benchmark, Contender, Sample, Subject } from './benchmark.ts';
import type { Results, Row } from './results.ts';
import { MachineWatch } from './machine.ts';
import { missingPackages, Site, type SiteOptions } from './site.ts';
import { buildTools } from './tools.ts';

export interface RunOptions extends SiteOptions {
  readonly rounds: number;
  /** Families; empty: all. */
  readonly only: readonly string[];
  /** Parts of names of loads; empty: all. */
  readonly loads: readonly string[];
  /** Told before each run. */
  readonly progress: (line: string) => void;
}

interface Entrant {
  readonly contender: Contender;
  /** Why it is not measured, or no longer. */
  absent: string | undefined;
  subject: Subject | undefined;
}

/**
 * Puts every load to every contender, one after the other, round by round, so that what disturbs
 * the machine for a while disturbs all of them.
 */
export async function runBenchmark(benchmark: Benchmark, options: RunOptions): Promise<Results> {
  await buildTools();
  await using site = new Site(options);
  await using stack = new AsyncDisposableStack();
  const entrants = benchmark.contenders
    .filter(({ family }) => options.only.length === 0 || options.only.includes(family))
    .map((contender): Entrant => {
      const missing = missingPackages(contender.needs);
      const absent = missing.length > 0 ? `not installed: ${missing.join(', ')}` : undefined;
      return { contender, absent, subject: undefined };
    });
  const loads = benchmark.loads.filter(
    (load) => options.loads.length === 0 || options.loads.some((part) => load.includes(part)),
  );
  const samples = new Map<string, Sample[]>();
  const failures: BenchError[] = [];
  const watch = new MachineWatch();
  // A round before the others lets runtimes compile what they run; small ones measure nothing.
  const first = benchmark.fresh || options.small ? 1 : 0;
  for (let round = first; round <= options.rounds; round += 1) {
    for (const load of loads) {
      for (const entrant of entrants) {
        if (entrant.absent !== undefined) continue;
        const { name } = entrant.contender;
        options.progress(`${benchmark.name}: ${load}: ${name}, ${round} of ${options.rounds}`);
        try {
          const at = { site, stack, load };
          const sample = await watch.during(() => measure(benchmark, entrant, at));
          const key = keyOf(load, name);
          if (round > 0) samples.set(key, [...(samples.get(key) ?? []), sample]);
        } catch (error) {
          if (!(error instanceof BenchError)) throw error;
          options.progress(`${name}: ${error.message}`);
          entrant.absent = 'failed';
          failures.push(error);
        }
      }
    }
  }
  const rows = loads.flatMap((load) =>
    entrants.map(({ contender: { name }, absent }): Row => {
      const row = { load, contender: name, samples: samples.get(keyOf(load, name)) ?? [] };
      return absent === undefined ? row : { ...row, absent };
    }),
  );
  const { rounds, seconds } = options;
  return { benchmark, rows, failures, rounds, seconds, ...watch.circumstances };
}

async function measure(
  benchmark: Benchmark,
  entrant: Entrant,
  at: { readonly site: Site; readonly stack: AsyncDisposableStack; readonly load: string },
): Promise<Sample> {
  if (benchmark.fresh) {
    await using subject = await entrant.contender.open(at.site);
    return await subject.measure(at.load);
  }
  entrant.subject ??= at.stack.use(await entrant.contender.open(at.site));
  return entrant.subject.measure(at.load);
}

function keyOf(load: string, contender: string): string {
  return `${load}\n${contender}`;
}
