import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BenchError } from './bench-error.ts';
import type { Benchmark } from './benchmark.ts';
import { plotPath, writePlot } from './plot.ts';
import type { Results } from './results.ts';
import { report } from './table.ts';

const PACKAGE = join(import.meta.dirname, '..');
const PRETTIER = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'prettier');

/** Where a benchmark's table stands. */
export function documentOf({ document = 'README.md' }: Benchmark): string {
  return join(PACKAGE, document);
}

/** Puts a report between the document's markers of its name, formatted as the house formats. */
export function writeReport(results: Results): void {
  const path = documentOf(results.benchmark);
  writeFileSync(path, withReport(readFileSync(path, 'utf8'), results));
  execFileSync(PRETTIER, ['--write', '--log-level', 'warn', path]);
  const { plot } = results.benchmark;
  if (plot) writePlot(plotPath(path, plot), results, plot);
}

/** Throws a BenchError when the document has no such markers. */
export function withReport(document: string, results: Results): string {
  const { benchmark } = results;
  const { name } = benchmark;
  const [begin, end] = [`<!-- ${name}: written by scripts/bench -->`, `<!-- end of ${name} -->`];
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from)
    throw new BenchError('run', `${documentOf(benchmark)} has no markers of ${name}`);
  const [before, after] = [document.slice(0, from + begin.length), document.slice(to)];
  return `${before}\n\n${report(results)}\n\n${after}`;
}
