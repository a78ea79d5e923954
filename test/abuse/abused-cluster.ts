import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../real-cluster.ts';
import { AbusedProcess } from './abused-process.ts';

/** Between those that other test clusters count their admin ports from. */
const BASES = Array.from({ length: 9 }, (_, index) => 14_050 + 100 * index);
const PORTS = { node: 1, nodeAdmin: 2, member: 3, group: 4, client: 5, clientAdmin: 6 } as const;
const ROOT = join(import.meta.dirname, '../..');

/** Short, so that a test can wait for them; each is a key of the configuration. */
export const SHORT_NODE_LIMITS = {
  handshake: '2s',
  greeting: '2s',
  request: '2s',
  connect: '2s',
  idle: '6s',
};
export const SHORT_CLIENT_LIMITS = { greeting: '2s', request: '5s', idle: '6s' };

/** A cluster of one node and a client, on free ports and in a home of their own. */
export class AbusedCluster {
  readonly home = mkdtempSync(join(tmpdir(), 'argyle-abuse-'));
  readonly #base: number;
  readonly #running: AbusedProcess[] = [];

  static async open(): Promise<AbusedCluster> {
    const offset = process.pid % BASES.length;
    for (const base of [...BASES.slice(offset), ...BASES.slice(0, offset)]) {
      const ports = Object.values(PORTS).map((each) => isFree(base + each));
      if (!(await Promise.all(ports)).every(Boolean)) continue;
      const cluster = new AbusedCluster(base);
      await cluster.#init();
      return cluster;
    }
    throw new Error('no free range of ports');
  }

  private constructor(base: number) {
    this.#base = base;
  }

  get nodePort(): number {
    return this.#base + PORTS.node;
  }

  get clientPort(): number {
    return this.#base + PORTS.client;
  }

  get ca(): string {
    return readFileSync(join(this.home, 'ca.pem'), 'utf8');
  }

  get caFile(): string {
    return join(this.home, 'ca.pem');
  }

  /** Of the user `demo`. */
  get password(): string {
    const client = readFileSync(join(this.home, 'client.yaml'), 'utf8');
    return /password: (\S+)/.exec(client)?.[1] ?? '';
  }

  node(limits: Readonly<Record<string, string | number>> = SHORT_NODE_LIMITS) {
    return this.#start('node', PORTS.nodeAdmin, [
      'name: node-1',
      `listen: 127.0.0.1:${this.nodePort}`,
      `admin: 127.0.0.1:${this.#base + PORTS.nodeAdmin}`,
      'tls: { certificate: node-1.pem, key: node-1.key.pem, ca: ca.pem }',
      'group:',
      '  clusterKey: cluster.key',
      `  address: 239.192.0.1:${this.#base + PORTS.group}`,
      '  interface: 127.0.0.1',
      `  port: ${this.#base + PORTS.member}`,
      '  mdns: false',
      'authentication: { methods: [none, password], users: users.yaml }',
      "rules: [{ action: allow, networks: [127.0.0.0/8, '::1/128'] }]",
      `limits: ${JSON.stringify(limits)}`,
    ]);
  }

  client(limits: Readonly<Record<string, string | number>> = SHORT_CLIENT_LIMITS) {
    return this.#start('client', PORTS.clientAdmin, [
      `listen: 127.0.0.1:${this.clientPort}`,
      `admin: 127.0.0.1:${this.#base + PORTS.clientAdmin}`,
      `nodes: [127.0.0.1:${this.nodePort}]`,
      'ca: ca.pem',
      `user: { name: demo, password: ${this.password} }`,
      `limits: ${JSON.stringify(limits)}`,
    ]);
  }

  /** Stops all that runs and removes the home; answers the exit codes. */
  async close(): Promise<readonly (number | null)[]> {
    const codes = [];
    for (const running of this.#running.splice(0).reverse()) codes.push(await running.stop());
    rmSync(this.home, { recursive: true, force: true });
    return codes;
  }

  async #init(): Promise<void> {
    const args = ['init', '--home', this.home, '--nodes', '1'];
    const { code, output } = await run(join(ROOT, 'scripts/argyle'), args);
    if (code !== 0) throw new Error(`argyle init: ${output}`);
  }

  async #start(command: 'node' | 'client', admin: number, lines: readonly string[]) {
    const config = join(this.home, `abused-${command}.yaml`);
    writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 });
    const running = await AbusedProcess.start(command, config, this.#base + admin);
    this.#running.push(running);
    return running;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
