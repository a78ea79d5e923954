import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, scryptSync } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, closeSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { RealCluster, until } from './real-cluster.ts';
import { clockMs } from './soak-load.ts';

const MAIN = resolve(import.meta.dirname, '../packages/cli/src/main.ts');
const READY_MS = 30_000;
const STOP_MS = 15_000;
const ANSWER_MS = 5_000;

/** The client is 0; nodes count from 1. */
export const CLIENT = 0;
export const NODES = [1, 2, 3];
/** Never killed, so that there is a node which lives all along. */
export const STEADY = 1;
export const MORTAL = [2, 3];

/** Short, so that a run of minutes sees sessions and lineages end many times over. */
export const SESSION_SECONDS = { idle: 20, lineage: 60, beforeLogin: 10 };
/** A record is remembered so long after its session has ended, to tell `expired` from `unknown`. */
export const ENDED_KNOWN_SECONDS = 60;

/** Times of `clockMs`: before the signal, and when the process was gone. */
export interface Kill {
  readonly name: string;
  readonly sentMs: number;
  readonly goneMs: number;
}

/** A metric's value by the rest of its line: its name and labels. */
export type Metrics = ReadonlyMap<string, number>;

/** Three nodes and a client as processes of this one, which sees at once when one ends. */
export class SoakCluster {
  readonly user = { name: 'visitor', password: randomBytes(18).toString('base64url') };
  /** Processes that ended though nobody had asked them to. */
  readonly deaths: string[] = [];
  readonly #cluster: RealCluster;
  readonly #processes = new Map<number, ChildProcess>();

  static async open(): Promise<SoakCluster> {
    const cluster = new SoakCluster(await RealCluster.open());
    await cluster.#configure();
    return cluster;
  }

  constructor(cluster: RealCluster) {
    this.#cluster = cluster;
  }

  get clientPort(): number {
    return this.#cluster.clientPort;
  }

  /** Between the ports of the nodes and the client's: nobody listens there. */
  get nobodyPort(): number {
    return this.#cluster.base + 60;
  }

  nodePort(index: number): number {
    return this.#cluster.nodePort(index);
  }

  read(name: string): string {
    return this.#cluster.read(name);
  }

  pid(index: number): number {
    const pid = this.#processes.get(index)?.pid;
    if (pid === undefined) throw new Error(`${nameOf(index)} does not run`);
    return pid;
  }

  runs(index: number): boolean {
    return this.#processes.has(index);
  }

  /** Ends when it is ready. `ARGYLE_SOAK_FLAGS` are the runtime's, for profiles and snapshots. */
  async start(index: number): Promise<void> {
    const name = nameOf(index);
    const log = openSync(this.#cluster.file(`${name}.log`), 'a', 0o600);
    const flags = process.env['ARGYLE_SOAK_FLAGS']?.split(' ') ?? [];
    const command = index === CLIENT ? 'client' : 'node';
    const args = [...flags, MAIN, command, '--config', this.#cluster.file(`${name}.yaml`)];
    // The test runner hooks its children by NODE_OPTIONS; what users run has no hooks.
    const { NODE_OPTIONS: _, ...env } = process.env;
    const cwd = this.#cluster.home;
    const child = spawn(process.execPath, args, { stdio: ['ignore', log, log], env, cwd });
    closeSync(log);
    this.#processes.set(index, child);
    child.once('exit', (code, signal) => {
      if (this.#processes.get(index) !== child) return;
      this.#processes.delete(index);
      this.deaths.push(`${name}: exit code ${code}, signal ${signal}`);
    });
    await until(`${name} is ready`, READY_MS, () => this.ready(index));
  }

  async kill(index: number): Promise<Kill> {
    const child = this.#take(index);
    const gone = once(child, 'exit');
    const sentMs = clockMs();
    child.kill('SIGKILL');
    await gone;
    return { name: nameOf(index), sentMs, goneMs: clockMs() };
  }

  /** As a service manager does; answers the exit code. */
  async stop(index: number): Promise<number | null> {
    const child = this.#take(index);
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    const [code] = (await gone) as [number | null];
    clearTimeout(timer);
    return code;
  }

  /** Ends what is left and removes the home; for a teardown. */
  async remove(): Promise<void> {
    for (const index of [...this.#processes.keys()]) await this.kill(index);
    await this.#cluster.remove();
  }

  async ready(index: number): Promise<boolean> {
    return (await this.#ask(index, '/readyz').catch(() => undefined))?.status === 200;
  }

  async metrics(index: number): Promise<Metrics> {
    const { body } = await this.#ask(index, '/metrics');
    const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map((line) => {
        const space = line.lastIndexOf(' ');
        return [line.slice(0, space).replace(/^argyle_/, ''), Number(line.slice(space))];
      }),
    );
  }

  async digest(index: number): Promise<string> {
    const { body } = await this.#ask(index, '/api/v1/cache');
    return (JSON.parse(body) as { digest: string }).digest;
  }

  /** Warnings and errors in its log by their event or message, with how many there were. */
  complaints(index: number): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const line of this.read(`${nameOf(index)}.log`).split('\n')) {
      if (line === '' || /"level":[1-3]0\b/.test(line)) continue;
      const level = /"level":40\b/.test(line) ? 'warning' : 'error';
      const said = /"event":"([^"]*)"/.exec(line) ?? /"msg":"([^"]*)"/.exec(line);
      const label = `${level}: ${said?.[1] ?? line}`;
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    return counts;
  }

  descriptors(index: number): number {
    return readdirSync(`/proc/${this.pid(index)}/fd`).length;
  }

  #take(index: number): ChildProcess {
    const child = this.#processes.get(index);
    if (!child) throw new Error(`${nameOf(index)} does not run`);
    this.#processes.delete(index);
    return child;
  }

  /** A connection of its own each time, which leaves no descriptor behind in what is measured. */
  #ask(index: number, path: string): Promise<{ status: number | undefined; body: string }> {
    const port = this.#cluster.base + 1_000 + index;
    const options = { host: '127.0.0.1', port, path, agent: false, timeout: ANSWER_MS };
    return new Promise((resolve, reject) => {
      const request = get(options, (answer) => {
        text(answer).then((body) => resolve({ status: answer.statusCode, body }), reject);
      });
      request.on('timeout', () => request.destroy(new Error(`no answer: ${path}`)));
      request.on('error', reject);
    });
  }

  async #configure(): Promise<void> {
    for (const args of [['init'], ['certificate', this.user.name, '--client']]) {
      const { code, output } = await this.#cluster.script('argyle', ...args);
      if (code !== 0) throw new Error(`argyle ${args[0]}: exit code ${code}\n${output}`);
    }
    const { idle, lineage, beforeLogin } = SESSION_SECONDS;
    const lives = `idle: ${idle}s, lineage: ${lineage}s, beforeLogin: ${beforeLogin}s`;
    for (const index of NODES) {
      this.#edit(`node-${index}.yaml`, (file) => {
        const methods = 'authentication:\n  methods: [none, password, certificate]\n';
        return `${file.replace('authentication:\n', methods)}sessions: { ${lives} }\n`;
      });
    }
    // The client's nodes are those that die: at the steady one it would stay for good.
    this.#edit('client.yaml', (file) =>
      file.replace(`  - 127.0.0.1:${this.nodePort(STEADY)}\n`, ''),
    );
    appendFileSync(this.#cluster.file('users.yaml'), this.#visitorEntry());
  }

  #edit(name: string, change: (text: string) => string): void {
    const before = this.#cluster.read(name);
    const after = change(before);
    if (after === before) throw new Error(`${name} is not as expected`);
    writeFileSync(this.#cluster.file(name), after);
  }

  /** A cheap entry: the soak is about what stays behind, not about what scrypt costs. */
  #visitorEntry(): string {
    const { name, password } = this.user;
    const [cost, blockSize, parallelism] = [1_024, 8, 1];
    const salt = randomBytes(16);
    const options = { N: cost, r: blockSize, p: parallelism };
    const hash = scryptSync(password, salt, 32, options);
    const fields = ['scrypt', cost, blockSize, parallelism];
    const entry = [...fields, salt.toString('base64url'), hash.toString('base64url')].join('$');
    return `${name}:\n  password: ${entry}\n  groups: []\n`;
  }
}

export function nameOf(index: number): string {
  return index === CLIENT ? 'client' : `node-${index}`;
}
