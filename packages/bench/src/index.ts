export { benchmarks } from './benchmarks/index.ts';
export { BenchError } from './bench-error.ts';
export type { BenchErrorCode } from './bench-error.ts';
export type { Bar, Benchmark, Column, Contender, Sample, Subject } from './benchmark.ts';
export { judge } from './results.ts';
export type { Results, Row, Verdict } from './results.ts';
export { runBenchmark } from './runner.ts';
export type { RunOptions } from './runner.ts';
export { header, report } from './table.ts';
