import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Endpoint } from '@argyle/host';
import { run } from './real-cluster.ts';

const SOURCE = join(import.meta.dirname, 'tools/forge.c');

export interface Forged {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Buffer;
}

/** Sends datagrams in anybody's name. It needs the right to raw sockets: run as root. */
export class Forger {
  readonly #folder = mkdtempSync(join(tmpdir(), 'argyle-forger-'));

  static async make(): Promise<Forger> {
    const forger = new Forger();
    const options = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', forger.#file];
    const { code, output } = await run('cc', [...options, SOURCE]);
    if (code !== 0) throw new Error(`forge.c: ${output}`);
    return forger;
  }

  /** In this order; ends when they are sent. */
  async send(datagrams: readonly Forged[]): Promise<void> {
    const { NODE_OPTIONS: _hooks, ...env } = process.env;
    const child = spawn(this.#file, [], { stdio: ['pipe', 'ignore', 'pipe'], env });
    let said = '';
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    child.stdin.on('error', () => undefined);
    const exited = once(child, 'exit');
    child.stdin.end(datagrams.map(lineOf).join(''));
    await exited;
    if (child.exitCode !== 0) throw new Error(`the forger: ${said}`);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #file(): string {
    return join(this.#folder, 'forge');
  }
}

function lineOf({ from, to, bytes }: Forged): string {
  const ends = `${from.address} ${from.port} ${to.address} ${to.port}`;
  return `${ends} ${bytes.toString('hex')}\n`;
}
