import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Contender } from './benchmark.ts';
import type { RunningProcess } from './processes.ts';
import type { Site } from './site.ts';

const MAIN = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
/** `argyle init` counts ports from here; they are then moved to free ones. */
const INIT_BASE = 11_080;
const ADMIN_OFFSET = 1_000;
const GROUP_OFFSET = 2_000;
const BLOCK = 10;
const CLIENT_PORT = INIT_BASE + BLOCK - 1;
/** Configurations protect ranges of so many ports. */
const RANGE_END = 63;

/** Nodes and perhaps a client as `argyle init` configures them, on ports of their own. */
export class ArgyleCluster implements AsyncDisposable {
  readonly home: string;
  readonly nodes: readonly RunningProcess[];
  readonly client: RunningProcess | undefined;
  readonly #firstPort: number;

  private constructor(
    home: string,
    firstPort: number,
    processes: { nodes: readonly RunningProcess[]; client: RunningProcess | undefined },
  ) {
    this.home = home;
    this.nodes = processes.nodes;
    this.client = processes.client;
    this.#firstPort = firstPort;
  }

  /** Resolves when all are ready. */
  static async open(
    site: Site,
    options: {
      readonly nodes: number;
      readonly client: boolean;
      /** What is to be otherwise in each node's configuration than `argyle init` writes it. */
      readonly amend?: (configuration: string) => string;
    },
  ): Promise<ArgyleCluster> {
    const home = site.subfolder('argyle');
    const firstPort = await site.ports(3 * BLOCK);
    makeHome(home, firstPort, options);
    await using started = new AsyncDisposableStack();
    const start = async (name: string, adminPort: number) => {
      const command = name === 'client' ? 'client' : 'node';
      const flags = profileFlags(site.profile, `${basename(home)}-${name}`);
      const config = join(home, `${name}.yaml`);
      const args = [...flags, MAIN, command, '--config', config];
      const process_ = await site.start(home, { name, command: process.execPath, args });
      started.use(process_);
      await process_.until('is ready', () => isReady(adminPort));
      return process_;
    };
    const nodes = await Promise.all(
      Array.from({ length: options.nodes }, (_, i) =>
        start(`node-${i + 1}`, firstPort + BLOCK + i + 1),
      ),
    );
    const client = options.client ? await start('client', firstPort + BLOCK) : undefined;
    started.move();
    return new ArgyleCluster(home, firstPort, { nodes, client });
  }

  /** Of the client. */
  get proxy(): string {
    return `127.0.0.1:${this.#firstPort + BLOCK - 1}`;
  }

  /** From 0. */
  nodeEndpoint(index: number): string {
    return `127.0.0.1:${this.#firstPort + index + 1}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client?.[Symbol.asyncDispose]();
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
  }
}

/** A contender whose subject is a cluster. */
export function argyle(name: string, open: Contender['open']): Contender {
  return { family: 'argyle', name, needs: [], open };
}

/** PEM files of a node's certificate, for those who are measured beside it. */
export function argyleCertificate(folder: string) {
  initHome(folder, 1);
  return {
    certificate: join(folder, 'node-1.pem'),
    key: join(folder, 'node-1.key.pem'),
    ca: join(folder, 'ca.pem'),
  };
}

/** Options of Node; the profile is written when the process ends. */
export function profileFlags(folder: string | undefined, name: string): readonly string[] {
  if (folder === undefined) return [];
  return ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.cpuprofile`];
}

function initHome(home: string, nodes: number): void {
  const ports = ['--port-base', String(INIT_BASE), '--client-port', String(CLIENT_PORT)];
  execFileSync(process.execPath, [MAIN, 'init', '--home', home, '--nodes', `${nodes}`, ...ports]);
}

function makeHome(
  home: string,
  firstPort: number,
  options: { nodes: number; amend?: (configuration: string) => string },
): void {
  initHome(home, options.nodes);
  const asItIs = (text: string) => text;
  const rewrite = (name: string, amend: (configuration: string) => string) => {
    const file = join(home, `${name}.yaml`);
    if (!existsSync(file)) return;
    const text = readFileSync(file, 'utf8');
    const moved = text.replace(/\b1[1-3]\d{3}\b/g, (port) => String(move(Number(port), firstPort)));
    writeFileSync(file, amend(moved));
  };
  for (let i = 1; i <= options.nodes; i += 1) rewrite(`node-${i}`, options.amend ?? asItIs);
  rewrite('client', asItIs);
}

/** Listeners, admin endpoints and members: a block of ten each, one after the other. */
function move(port: number, firstPort: number): number {
  const block = [GROUP_OFFSET, ADMIN_OFFSET, 0].findIndex((offset) => port >= INIT_BASE + offset);
  const within = (port - INIT_BASE) % ADMIN_OFFSET;
  return firstPort + (2 - block) * BLOCK + (within === RANGE_END ? BLOCK - 1 : within);
}

async function isReady(adminPort: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`);
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
