import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { BenchError } from './bench-error.ts';

/** A process that answers each line of JSON by one; its errors go where the caller's do. */
export class LineProcess<Request, Answer> implements AsyncDisposable {
  readonly #name: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;

  constructor(name: string, command: string, args: readonly string[]) {
    this.#name = name;
    // A test runner hooks its children by NODE_OPTIONS; what is measured has no hooks.
    const { NODE_OPTIONS: _hooks, ...env } = process.env;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env });
    this.#child.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  /** One question at a time. Rejects with a BenchError when the process ends instead. */
  async ask(request: Request): Promise<Answer> {
    const answered = new AbortController();
    const { signal } = answered;
    const ended = once(this.#child, 'exit', { signal }).then(() => {
      throw new BenchError('run', `${this.#name} ended at ${JSON.stringify(request)}`);
    });
    const answer = once(this.#lines, 'line', { signal });
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    try {
      const [line] = await Promise.race([answer, ended]);
      return JSON.parse(String(line)) as Answer;
    } finally {
      answer.catch(() => undefined);
      ended.catch(() => undefined);
      answered.abort();
    }
  }

  /** It is to end when its input does. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}
