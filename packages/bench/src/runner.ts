import type { Benchmark, Contender, Sample, Subject } from './benchmark.ts';
import type { Results, Row } from './results.ts';
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
  readonly missing: readonly string[];
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
      return { contender, missing: missingPackages(contender.needs), subject: undefined };
    });
  const loads = benchmark.loads.filter(
    (load) => options.loads.length === 0 || options.loads.some((part) => load.includes(part)),
  );
  const samples = new Map<string, Sample[]>();
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const load of loads) {
      for (const entrant of entrants) {
        if (entrant.missing.length > 0) continue;
        const { name } = entrant.contender;
        options.progress(`${benchmark.name}: ${load}: ${name}, ${round} of ${options.rounds}`);
        const sample = await measure(benchmark, entrant, { site, stack, load });
        const key = keyOf(load, name);
        samples.set(key, [...(samples.get(key) ?? []), sample]);
      }
    }
  }
  const rows = loads.flatMap((load) =>
    entrants.map(({ contender: { name }, missing }): Row => {
      const row = { load, contender: name, samples: samples.get(keyOf(load, name)) ?? [] };
      if (missing.length === 0) return row;
      return { ...row, missing: `not installed: ${missing.join(', ')}` };
    }),
  );
  return { benchmark, rows };
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
