import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = resolve(import.meta.dirname, '..');
const LOOK_MS = 20;
/**
 * Bases 13 000, 13 100 … 13 900: no cluster's ports at base + 1 000 and base + 2 000 are another's,
 * and all are below those that systems choose for outgoing connections.
 */
const BASES = Array.from({ length: 10 }, (_, index) => 13_000 + 100 * index);
const taken = new Set<number>();
const NODE_OFFSETS = [0, 1, 2, 3, 4, 5];
const CLIENT_OFFSET = 90;

export interface RunResult {
  readonly code: number;
  readonly output: string;
}

export interface MemberView {
  readonly name: string;
  readonly state: string;
}

export interface ClusterView {
  readonly self: {
    readonly state: string;
    readonly incarnation: string;
    readonly keys: readonly string[];
  };
  readonly view: { readonly members: readonly string[]; readonly alone: boolean };
  readonly members: readonly (MemberView & Record<string, unknown>)[];
}

/**
 * Real nodes and a real client, by the scripts that users have, on ports and a home of their own.
 */
export class RealCluster {
  readonly home = mkdtempSync(join(tmpdir(), 'argyle-test-'));
  readonly base: number;
  readonly clientPort: number;

  /** On a base whose ports are free: other clusters may run on this machine. */
  static async open(): Promise<RealCluster> {
    for (const base of BASES) {
      const ports = NODE_OFFSETS.flatMap((offset) => [offset, offset + 1_000, offset + 2_000]);
      ports.push(CLIENT_OFFSET);
      const free = await Promise.all(ports.map((offset) => isFree(base + offset)));
      if (taken.has(base) || !free.every(Boolean)) continue;
      taken.add(base);
      return new RealCluster(base);
    }
    throw new Error('no free range of ports');
  }

  constructor(base: number) {
    this.base = base;
    this.clientPort = base + CLIENT_OFFSET;
  }

  /** Runs `scripts/NAME`; what it prints on both streams. */
  script(name: string, ...args: string[]): Promise<RunResult> {
    return run(join(ROOT, 'scripts', name), args, {
      ARGYLE_HOME: this.home,
      ARGYLE_PORT_BASE: String(this.base),
      ARGYLE_CLIENT_PORT: String(this.clientPort),
    });
  }

  async up(count?: number): Promise<string> {
    const { code, output } = await this.script('up', ...(count === undefined ? [] : [`${count}`]));
    if (code !== 0) throw new Error(`scripts/up: exit code ${code}\n${output}`);
    return output;
  }

  async kill(index: number): Promise<void> {
    const { code, output } = await this.script('kill', String(index));
    if (code !== 0) throw new Error(`scripts/kill: exit code ${code}\n${output}`);
  }

  async down(): Promise<string> {
    const { code, output } = await this.script('down');
    if (code !== 0) throw new Error(`scripts/down: exit code ${code}\n${output}`);
    return output;
  }

  /** Stops everything and removes the home; for a teardown. */
  async remove(): Promise<void> {
    await this.script('down');
    rmSync(this.home, { recursive: true, force: true });
  }

  file(name: string): string {
    return join(this.home, name);
  }

  read(name: string): string {
    return readFileSync(this.file(name), 'utf8');
  }

  nodePort(index: number): number {
    return this.base + index;
  }

  /** An admin answer as JSON; node 0 is the client. */
  async view<View>(index: number, path: string): Promise<View> {
    const answer = await fetch(`http://127.0.0.1:${this.base + 1_000 + index}${path}`);
    return (await answer.json()) as View;
  }

  cluster(index: number): Promise<ClusterView> {
    return this.view(index, '/api/v1/cluster');
  }

  async digest(index: number): Promise<string> {
    const { digest } = await this.view<{ digest: string }>(index, '/api/v1/cache');
    return digest;
  }

  /** The sum of a metric's values over all label sets that have these labels. */
  async metric(index: number, name: string, labels: Record<string, string> = {}): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.base + 1_000 + index}/metrics`);
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    let sum = 0;
    let found = false;
    for (const line of (await answer.text()).split('\n')) {
      if (!line.startsWith(`argyle_${name}{`) && !line.startsWith(`argyle_${name} `)) continue;
      if (!wanted.every((label) => line.includes(label))) continue;
      found = true;
      sum += Number(line.slice(line.lastIndexOf(' ')));
    }
    if (!found) throw new Error(`no metric argyle_${name}`);
    return sum;
  }
}

/** Nobody listens there, for TCP on loopback. */
export function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export function run(
  file: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<RunResult> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, cwd: ROOT, maxBuffer: 1 << 26 };
    // The test runner hooks its children by NODE_OPTIONS; what users run has no hooks.
    const command = ['-u', 'NODE_OPTIONS', file, ...args];
    const child = execFile('env', command, options, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
      resolve({ code, output: stdout + stderr });
    });
    child.stdin?.end();
  });
}

/** Looks until it holds; answers after how many milliseconds. Throws after the bound. */
export async function until(
  what: string,
  boundMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<number> {
  const start = performance.now();
  for (;;) {
    if (await condition()) return performance.now() - start;
    if (performance.now() - start > boundMs) throw new Error(`not in ${boundMs} ms: ${what}`);
    await sleep(LOOK_MS);
  }
}

/** Why a test that needs the tool is skipped; false if the tool is there. */
export async function missing(tool: string, debianPackage = tool): Promise<string | false> {
  const { code } = await run('/bin/sh', ['-c', `command -v ${tool}`]);
  return code === 0 ? false : `needs ${tool}: install the Debian package ${debianPackage}`;
}
