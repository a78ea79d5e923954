import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './real-cluster.ts';

const SOURCES = join(import.meta.dirname, 'tools');
const STRICT = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'];

/** A program of `tools`, which reads lines and may print some. */
export class Compiled {
  readonly #folder = mkdtempSync(join(tmpdir(), 'argyle-tool-'));
  readonly #name: string;

  static async make(name: string): Promise<Compiled> {
    const compiled = new Compiled(name);
    const source = join(SOURCES, `${name}.c`);
    const { code, output } = await run('cc', [...STRICT, '-o', compiled.#file, source]);
    if (code !== 0) throw new Error(`${name}.c: ${output}`);
    return compiled;
  }

  private constructor(name: string) {
    this.#name = name;
  }

  /** What it prints. Rejects if it fails. */
  async run(args: readonly string[], input: string): Promise<string> {
    const { NODE_OPTIONS: _hooks, ...env } = process.env;
    const child = spawn(this.#file, args, { env });
    let [printed, complaint] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (printed += text.toString()));
    child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
    child.stdin.on('error', () => undefined);
    const closed = once(child, 'close');
    child.stdin.end(input);
    await closed;
    if (child.exitCode !== 0) throw new Error(`${this.#name}: ${complaint}`);
    return printed;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #file(): string {
    return join(this.#folder, this.#name);
  }
}
