import { BenchError } from './bench-error.ts';
import type { Benchmark } from './benchmark.ts';
import { benchmarks } from './benchmarks/index.ts';
import { parseOptions, USAGE, type BenchOptions } from './options.ts';
import { writeReport } from './readme.ts';
import { judge, type Results } from './results.ts';
import { runBenchmark } from './runner.ts';
import { report } from './table.ts';
import { buildTools } from './tools.ts';

const ExitCode = { missed: 1, usage: 2, failed: 3 } as const;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(ExitCode.failed));
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    if (options.help || options.names.length === 0) {
      console.log(help());
      return options.help ? 0 : ExitCode.usage;
    }
    return await run(options);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(error.message);
    return error.code === 'usage' ? ExitCode.usage : ExitCode.failed;
  }
}

async function run(options: BenchOptions): Promise<number> {
  const chosen = choose(options.names);
  const progress = (line: string) => {
    process.stderr.write(`${line}\n`);
  };
  await buildTools();
  let [missed, failed] = [false, false];
  for (const benchmark of chosen) {
    const results = await runBenchmark(benchmark, { ...options, progress });
    failed ||= results.failures.length > 0;
    missed ||= judge(results).some(({ met }) => !met);
    if (options.write) writeReport(results);
    console.log(options.json ? asJson(results) : `\n${report(results)}`);
  }
  if (failed) return ExitCode.failed;
  return options.check && missed ? ExitCode.missed : 0;
}

function choose(names: readonly string[]): readonly Benchmark[] {
  if (names.includes('all')) return benchmarks;
  return names.map((name) => {
    const found = benchmarks.find((benchmark) => benchmark.name === name);
    if (found) return found;
    const known = benchmarks.map((benchmark) => benchmark.name).join(', ');
    throw new BenchError('usage', `${name}: found no such benchmark, wanted one of ${known}, all`);
  });
}

function asJson(results: Results): string {
  const verdicts = judge(results).map(({ bar, value, met }) => ({ ...bar, value, met }));
  const { benchmark, failures, ...measured } = results;
  const messages = failures.map(({ message }) => message);
  return JSON.stringify({ name: benchmark.name, ...measured, verdicts, failures: messages });
}

function help(): string {
  const list = benchmarks.map(({ name, question }) => `  ${name.padEnd(12)}${question}`);
  return `${USAGE}\n${list.join('\n')}`;
}
