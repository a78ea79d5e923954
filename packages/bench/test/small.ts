import { execFile } from 'node:child_process';
import t, { type Test } from 'tap';
import { runBenchmark, type Benchmark, type Row } from '../src/index.ts';
import { missingPackages } from '../src/site.ts';
import { buildTools, TOOL_PACKAGES } from '../src/tools.ts';

const SMALL = { rounds: 1, seconds: 0.3, small: true, loads: [], profile: undefined };
const WITHIN_MS = 110_000;

/**
 * Runs each, small, with all contenders that are installed, and looks whether figures are sane.
 * `memory`: they are differences of memory that is shared with other processes, so that one that
 * begins meanwhile makes them fall below zero.
 */
export async function testSmall(
  benchmarks: readonly Benchmark[],
  portBase: number,
  { memory = false } = {},
): Promise<void> {
  const skip = (await toolsCanBeBuilt()) ? false : `needs ${TOOL_PACKAGES}`;
  t.setTimeout(WITHIN_MS);
  if (skip === false) await buildTools();
  for (const benchmark of benchmarks) {
    const title = `${benchmark.name}: every contender that is installed does its work`;
    t.test(title, { skip, timeout: WITHIN_MS }, async (t) => {
      const options = { ...SMALL, only: [], portBase, progress: () => undefined };
      const { rows, failures } = await runBenchmark(benchmark, options);
      const messages = failures.map(({ message }) => message);
      t.same(messages, [], 'nobody failed');
      t.equal(rows.length, benchmark.loads.length * benchmark.contenders.length);
      for (const row of rows) {
        const contender = benchmark.contenders.find(({ name }) => name === row.contender);
        const present = missingPackages(contender?.needs ?? []).length === 0;
        check(t, row, present, memory);
      }
      if (memory) return;
      const ours = rows.filter(({ contender }) => contender.startsWith('argyle'));
      const [cost] = benchmark.baseline.figures;
      for (const { load, samples } of ours)
        t.ok((samples[0]?.[cost?.figure ?? ''] ?? 0) > 0, `${load}: it cost something`);
    });
  }
}

function check(
  t: Test,
  { load, contender, samples, absent }: Row,
  present: boolean,
  memory: boolean,
): void {
  if (!present) {
    t.match(absent, /^not installed: /, `${contender} says what it lacks`);
    return;
  }
  const [sample = {}] = samples;
  const figures = Object.entries(sample);
  t.ok(figures.length > 0, `${load}: ${contender} has figures`);
  for (const [figure, value] of figures) {
    const least = memory ? -Infinity : 0;
    const what = `${load}: ${contender}: ${figure} is ${value}`;
    t.ok(Number.isFinite(value) && value >= least, what);
  }
}

function toolsCanBeBuilt(): Promise<boolean> {
  const needs = 'command -v gcc && command -v make && echo "#include <openssl/ssl.h>" | gcc -E -';
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', needs], { maxBuffer: 1 << 26 }, (error) => resolve(!error));
  });
}
