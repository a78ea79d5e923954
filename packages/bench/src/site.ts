import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BenchError } from './bench-error.ts';
import type { Need } from './benchmark.ts';
import { isFree } from './ports.ts';
import { RunningProcess, type ProcessOptions } from './processes.ts';
import { toolPath } from './tools.ts';

/** So many ports from the base on are tried. */
const PORTS = 900;
/** Where Debian keeps what only administrators call. */
const PATH = `${process.env['PATH']}:/usr/sbin:/sbin`;

export interface SiteOptions {
  readonly seconds: number;
  readonly small: boolean;
  readonly portBase: number;
  readonly profile: string | undefined;
}

/** What a tunnel leads to: echo of every byte or datagram, a sink, or a source without end. */
export type Destination = 'echo' | 'sink' | 'source' | 'datagram echo';

/** Where a benchmark happens: a folder, ports, processes, and destinations for tunnels. */
export class Site implements AsyncDisposable {
  readonly seconds: number;
  readonly small: boolean;
  readonly profile: string | undefined;
  readonly folder = mkdtempSync(join(tmpdir(), 'argyle-bench-'));
  readonly #portBase: number;
  readonly #stack = new AsyncDisposableStack();
  readonly #destinations = new Map<Destination, Promise<string>>();
  #portsTaken = 0;

  constructor(options: SiteOptions) {
    this.seconds = options.seconds;
    this.small = options.small;
    this.profile = options.profile;
    this.#portBase = options.portBase;
    // Whoever was just asked to end may still be tidying up in it.
    const retries = { maxRetries: 10, retryDelay: 20 };
    const remove = () => rmSync(this.folder, { recursive: true, force: true, ...retries });
    process.once('exit', remove);
    this.#stack.defer(() => {
      process.off('exit', remove);
      remove();
    });
  }

  /** How long load runs before figures are taken. */
  get warmSeconds(): number {
    return this.small ? 0.1 : 0.5;
  }

  /** The first of `count` free ports in a row. After the last it goes on from the first. */
  async ports(count: number): Promise<number> {
    for (let tried = 0; tried < 2 * PORTS; tried += count) {
      if (this.#portsTaken + count > PORTS) this.#portsTaken = 0;
      const first = this.#portBase + this.#portsTaken;
      const row = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)));
      this.#portsTaken += count;
      if (row.every(Boolean)) return first;
    }
    throw new BenchError('start', `no ${count} free ports from ${this.#portBase} on`);
  }

  /** A new folder of that name. */
  subfolder(name: string): string {
    return mkdtempSync(join(this.folder, `${name}-`));
  }

  /** `folder`: where its log goes. */
  start(folder: string, options: Omit<ProcessOptions, 'logFile'>): Promise<RunningProcess> {
    const logFile = join(folder, `${options.name}.log`);
    return RunningProcess.start({ ...options, logFile, env: { ...options.env, PATH } });
  }

  /** `ADDRESS:PORT`; it lives as long as the site. */
  destination(mode: Destination): Promise<string> {
    const known = this.#destinations.get(mode);
    const endpoint = known ?? this.#startDestination(mode);
    this.#destinations.set(mode, endpoint);
    return endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #startDestination(mode: Destination): Promise<string> {
    const port = await this.ports(1);
    const datagrams = mode === 'datagram echo';
    const command = toolPath(datagrams ? 'udppeer' : 'tcppeer');
    const args = ['--listen', `127.0.0.1:${port}`, ...(datagrams ? [] : ['--mode', mode])];
    const started = this.#stack.use(await this.start(this.folder, { name: mode, command, args }));
    await (datagrams ? started.untilBound(port) : started.untilListening(port));
    return `127.0.0.1:${port}`;
  }
}

/** The Debian packages of programs that are not installed. */
export function missingPackages(needs: readonly Need[]): readonly string[] {
  const lacks = ({ program }: Need) =>
    spawnSync('/bin/sh', ['-c', `command -v ${program}`], { env: { PATH } }).status !== 0;
  return [...new Set(needs.filter(lacks).map(({ debianPackage }) => debianPackage))];
}
