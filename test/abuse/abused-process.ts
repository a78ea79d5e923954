import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { until } from '../real-cluster.ts';
import { descriptors, type Counts } from './descriptors.ts';
import { body, Metrics } from './metrics.ts';

const MAIN = join(import.meta.dirname, '../../packages/cli/src/main.ts');
const START_MS = 20_000;
/** Longer than any time-out of an abused process and the second that a last reply lingers. */
const SETTLE_MS = 20_000;

/** A process of `argyle`, as users run it, and all that it has open. */
export class AbusedProcess {
  readonly adminPort: number;
  readonly #child: ChildProcess;
  #errors = '';

  static async start(
    command: 'node' | 'client',
    config: string,
    adminPort: number,
  ): Promise<AbusedProcess> {
    const running = new AbusedProcess([command, '--config', config], adminPort);
    await until(`argyle ${command} is ready`, START_MS, async () => {
      running.assertAlive();
      const ready = await body(`http://127.0.0.1:${adminPort}/readyz`).catch(() => '');
      return ready.includes('"ready":true');
    });
    return running;
  }

  private constructor(args: readonly string[], adminPort: number) {
    this.adminPort = adminPort;
    // The test runner hooks its children by NODE_OPTIONS; what users run has no hooks.
    const command = ['-u', 'NODE_OPTIONS', process.execPath, MAIN, ...args];
    this.#child = spawn('env', command, { stdio: ['ignore', 'pipe', 'pipe'] });
    // What it says of a crash is an error of level 50, in JSON.
    this.#child.stdout?.on('data', (text: Buffer) => {
      for (const line of String(text).split('\n')) {
        if (line.includes('"level":50')) this.#errors += `${line}\n`;
      }
    });
    this.#child.stderr?.on('data', (text: Buffer) => (this.#errors += String(text)));
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the process did not start');
    return pid;
  }

  /** All that it said at the level `error`, and on standard error. */
  get errors(): string {
    return this.#errors;
  }

  assertAlive(): void {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) {
      throw new Error(`the process ended (${exitCode ?? signalCode}):\n${this.#errors}`);
    }
  }

  metrics(): Promise<Metrics> {
    return Metrics.scrape(this.adminPort);
  }

  /** Descriptors by kind, what the event loop waits for, and the gauges of open things. */
  async open(): Promise<Counts> {
    const metrics = await this.metrics();
    const { Timeout = 0, TCPSocketWrap = 0 } = metrics.by('nodejs_active_resources');
    const gauges = ['connections', 'connections_secure', 'tunnels', 'client_tunnels'];
    return {
      ...descriptors(this.pid),
      timers: Timeout,
      // The scrape's own is one of them.
      'sockets in use': TCPSocketWrap - 1,
      ...Object.fromEntries(gauges.map((name) => [`gauge ${name}`, metrics.sum(name)])),
    };
  }

  /** Ends when nothing is open that was not before; throws with what is when that stays so. */
  async settled(before: Counts): Promise<Counts> {
    let now: Counts = {};
    const surplus = () =>
      Object.entries(now).filter(([kind, count]) => count > (before[kind] ?? 0));
    try {
      await until('nothing is open that was not before', SETTLE_MS, async () => {
        this.assertAlive();
        now = await this.open();
        return surplus().length === 0;
      });
    } catch (error) {
      throw new Error(`leaked: ${JSON.stringify(surplus())} of ${JSON.stringify(before)}`, {
        cause: error,
      });
    }
    return now;
  }

  /** Its exit code. */
  async stop(): Promise<number | null> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return exitCode;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), SETTLE_MS);
    const [code] = (await ended) as [number | null];
    clearTimeout(timer);
    return code;
  }
}
