import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { devNull } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { BenchError } from './bench-error.ts';
import { accepts, hasUdpSocket } from './ports.ts';

const LOOK_AGAIN_MS = 20;
const UP_WITHIN_MS = 20_000;
const STOPPED_WITHIN_MS = 15_000;
const TAIL_LINES = 12;

/** Nothing that was started outlives this process, however it ends. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  // Not SIGKILL: a server with workers ends them only if it is asked to end.
  for (const child of running) child.kill('SIGTERM');
});

export interface ProcessOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logFile: string;
  /** What it writes is not kept. */
  readonly quiet?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** A process that is measured, or that a tunnel leads to; what it writes goes to a log. */
export class RunningProcess implements AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #closed: Promise<unknown>;

  private constructor(options: ProcessOptions, child: ChildProcess, pid: number) {
    this.name = options.name;
    this.pid = pid;
    this.#child = child;
    this.#logFile = options.logFile;
    running.add(child);
    child.once('exit', () => running.delete(child));
    this.#closed = new Promise((resolve) => child.once('close', resolve));
  }

  static async start(options: ProcessOptions): Promise<RunningProcess> {
    const log = openSync(options.quiet ? devNull : options.logFile, 'a', 0o600);
    // A test runner hooks its children by NODE_OPTIONS; what is measured has no hooks.
    const { NODE_OPTIONS: _hooks, ...env } = { ...process.env, ...options.env };
    const child = spawn(options.command, options.args, { stdio: ['ignore', log, log], env });
    closeSync(log);
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => {
        reject(new BenchError('start', `${options.name} cannot be started`, { cause }));
      });
    });
    return new RunningProcess(options, child, child.pid ?? 0);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when the condition holds; rejects when the process has ended, or after a bound. */
  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + UP_WITHIN_MS;
    while (!(await condition())) {
      if (!this.running) throw this.#failure('ended while it started');
      if (performance.now() > end) throw this.#failure(`not in ${UP_WITHIN_MS} ms: ${what}`);
      await delay(LOOK_AGAIN_MS);
    }
  }

  untilListening(port: number): Promise<void> {
    return this.until(`listens at port ${port}`, () => accepts(port));
  }

  /** For datagrams. */
  untilBound(port: number): Promise<void> {
    return this.until(`is at UDP port ${port}`, () => Promise.resolve(hasUdpSocket(port)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return;
    this.#child.kill('SIGTERM');
    const ended = new AbortController();
    const waited = delay(STOPPED_WITHIN_MS, undefined, { signal: ended.signal }).then(
      () => this.#child.kill('SIGKILL'),
      () => undefined,
    );
    await this.#closed;
    ended.abort();
    await waited;
  }

  #failure(what: string): BenchError {
    const log = existsSync(this.#logFile) ? readFileSync(this.#logFile, 'utf8') : '';
    const tail = log.trimEnd().split('\n').slice(-TAIL_LINES);
    return new BenchError('start', [`${this.name} ${what}`, ...tail].join('\n'));
  }
}
