import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BenchError } from './bench-error.ts';

const SOURCES = join(import.meta.dirname, '..', 'tools');
const BUILT = join(SOURCES, 'build');
/** What Debian calls all that `make` wants. */
export const TOOL_PACKAGES = 'gcc make libc6-dev libssl-dev';
const run = promisify(execFile);
/** Beyond what the tool itself was told to take. */
const SLACK_MS = 120_000;

export type ToolName = 'sockstcp' | 'tcppeer' | 'socksudp' | 'udppeer' | 'respload' | 'tlsrate';

/** What every load tool prints; arrays have one entry for each process that it was told of. */
export interface Load {
  readonly secs: number;
  readonly done: number;
  readonly failures?: number;
  readonly errors?: number;
  readonly corrupt?: number;
  readonly unacknowledged?: number;
  readonly bytes?: number;
  readonly sent?: number;
  readonly duplicates?: number;
  readonly resumed?: number;
  readonly without_ticket?: number;
  readonly first_error?: string;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly own_cpu_s: number;
  readonly cpu_s: readonly number[];
  readonly rss_kb: readonly number[];
  readonly pss_kb: readonly number[];
}

/** Makes what is not made yet. Rejects with a BenchError that names the packages. */
export async function buildTools(): Promise<void> {
  try {
    await run('make', ['-s', '-C', SOURCES]);
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    const message = `the load tools cannot be built; they need ${TOOL_PACKAGES}\n${said}`;
    throw new BenchError('tools', message, { cause });
  }
}

export function toolPath(name: ToolName): string {
  return join(BUILT, name);
}

/** Runs a load tool to its end. Rejects when it fails, or when a part of the work was not done. */
export async function runLoad(
  name: ToolName,
  args: Readonly<Record<string, string | number | true | undefined>>,
): Promise<Load> {
  const words = Object.entries(args).flatMap(([option, value]) => {
    if (value === undefined) return [];
    return value === true ? [`--${option}`] : [`--${option}`, String(value)];
  });
  const timeout = Number(args['secs'] ?? 0) * 1_000 + SLACK_MS;
  const { stdout } = await run(toolPath(name), words, { timeout }).catch((cause: Error) => {
    const said = 'stderr' in cause ? String(cause.stderr).trim() : cause.message;
    throw new BenchError('run', `${name} ${words.join(' ')}: ${said}`, { cause });
  });
  const load = JSON.parse(stdout) as Load;
  const faults = ['failures', 'errors', 'corrupt', 'unacknowledged'] as const;
  const idle = load.done === 0 && !load.bytes;
  if (idle || faults.some((fault) => load[fault]))
    throw new BenchError('run', `${name} ${words.join(' ')}: ${stdout.trim()}`);
  return load;
}
