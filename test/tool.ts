import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const STOP_MS = 5_000;

/** A program of the system that runs beside a test, line by line. */
export class Tool {
  /** What it has written, on both streams. */
  said = '';
  /** What of that is on its standard output. */
  printed = '';
  readonly #child: ChildProcess;

  /** Output comes as it is written, and not when four kilobytes are full. */
  constructor(command: string, ...args: string[]) {
    // The test runner hooks its children by NODE_OPTIONS; these are none.
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#child = spawn('stdbuf', ['-oL', command, ...args], { env });
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stdout?.on('data', (bytes: Buffer) => (this.printed += bytes.toString()));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (bytes: Buffer) => (this.said += bytes.toString()));
    }
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Its exit code; undefined where a signal ended it. */
  async over(): Promise<number | undefined> {
    if (!this.ended) await once(this.#child, 'close');
    return this.#child.exitCode ?? undefined;
  }

  /** What it still has to write it writes. */
  async stop(signal: 'SIGINT' | 'SIGTERM' = 'SIGTERM'): Promise<void> {
    if (this.ended) return;
    this.#child.kill(signal);
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await this.over();
    clearTimeout(late);
  }
}
