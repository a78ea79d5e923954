import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Test } from 'tap';
import { EchoTarget, NumberedStream } from './numbered.ts';
import { RealCluster, until } from './real-cluster.ts';

const MAIN = resolve(import.meta.dirname, '../packages/cli/src/main.ts');
/** The forwarding client is beside the one of `scripts/up`. */
const CLIENT_OFFSET = 91;
const READY_MS = 30_000;
const STOP_MS = 15_000;

interface ClientView {
  readonly node: string | null;
  readonly udp: {
    readonly associations: number;
    readonly blocked: boolean;
    readonly nodes: readonly {
      readonly address: string;
      readonly used: number;
      readonly standby: number;
    }[];
    readonly moves: Readonly<Record<string, number>>;
  };
}

interface UdpClusterOptions {
  /** More of the client's configuration. */
  readonly client?: string;
  /** More of each node's. */
  readonly node?: (index: number) => string;
  readonly count?: number;
  /** Puts something before the nodes; answers the one address that the client is to know. */
  readonly front?: (nodes: RealCluster) => Promise<string>;
}

interface ForwardedStream {
  readonly target: EchoTarget;
  readonly cluster: UdpCluster;
  readonly stream: NumberedStream;
}

/** Three nodes by the scripts that users have, and a client with forwards. */
export class UdpCluster {
  readonly nodes: RealCluster;
  readonly #client: ChildProcess;

  /** `forwards`: given where the client may listen, such as `udp:13092=127.0.0.1:40000`. */
  static async open(
    t: Test,
    forwards: (port: number) => readonly string[],
    options: UdpClusterOptions = {},
  ): Promise<UdpCluster> {
    const nodes = await RealCluster.open();
    t.teardown(() => nodes.remove());
    const { count = 3, node } = options;
    if (node) {
      await nodes.script('argyle', 'init', '--nodes', `${count}`);
      for (let index = 1; index <= count; index += 1) {
        appendFileSync(nodes.file(`node-${index}.yaml`), node(index));
      }
    }
    await nodes.up(count);
    const front = await options.front?.(nodes);
    const local = forwards(nodes.base + CLIENT_OFFSET + 1);
    const cluster = new UdpCluster(nodes, local, { ...options, front });
    t.teardown(() => cluster.stop());
    await until('the client is ready', READY_MS, () => cluster.#ready());
    return cluster;
  }

  /** With numbered datagrams to come at that rate, by a forward, to a target that returns them. */
  static async openStream(t: Test, everyMs: number): Promise<ForwardedStream> {
    const target = await EchoTarget.open();
    t.teardown(() => target.close());
    let port = 0;
    const cluster = await UdpCluster.open(t, (free) => {
      port = free;
      return [`udp:${free}=127.0.0.1:${target.port}`];
    });
    const stream = await NumberedStream.open(port, everyMs);
    t.teardown(() => stream.close());
    return { target, cluster, stream };
  }

  private constructor(
    nodes: RealCluster,
    forwards: readonly string[],
    { client = '', front }: { readonly client?: string; readonly front: string | undefined },
  ) {
    this.nodes = nodes;
    const file = nodes.file('forwards.yaml');
    let said = readFileSync(nodes.file('client.yaml'), 'utf8')
      .replace(/^listen: .*$/m, `listen: 127.0.0.1:${nodes.base + CLIENT_OFFSET}`)
      .replace(/^admin: .*$/m, `admin: 127.0.0.1:${nodes.base + 1_000 + CLIENT_OFFSET}`);
    if (front !== undefined) said = said.replace(/^nodes:\n(  - .*\n)+/m, `nodes: [${front}]\n`);
    writeFileSync(file, `${said}\n${client}\n`, { mode: 0o600 });
    const told = forwards.flatMap((forward) => ['--forward', forward]);
    // The test runner hooks its children by NODE_OPTIONS; what users run has no hooks.
    const { NODE_OPTIONS: _, ...env } = process.env;
    const args = [MAIN, 'client', '--config', file, ...told];
    this.#client = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#client.stdout, this.#client.stderr]) {
      stream?.on('data', (bytes: Buffer) => (this.said += bytes.toString()));
    }
  }

  /** What the client has logged. */
  said = '';

  get clientPort(): number {
    return this.nodes.base + CLIENT_OFFSET;
  }

  async stop(): Promise<void> {
    if (this.#client.exitCode !== null || this.#client.signalCode !== null) return;
    const gone = once(this.#client, 'exit');
    this.#client.kill('SIGTERM');
    const late = setTimeout(() => this.#client.kill('SIGKILL'), STOP_MS);
    await gone;
    clearTimeout(late);
  }

  view(): Promise<ClientView> {
    return this.nodes.view<ClientView>(CLIENT_OFFSET, '/api/v1/cluster');
  }

  /** Of the client. */
  metric(name: string, labels?: Record<string, string>): Promise<number> {
    return this.nodes.metric(CLIENT_OFFSET, name, labels);
  }

  /** The index of the node that associations use now; undefined while there is none. */
  async owner(): Promise<number | undefined> {
    const { udp } = await this.view();
    const used = udp.nodes.find((node) => node.used > 0);
    return used && Number(used.address.split(':')[1]) - this.nodes.base;
  }

  /** An association is in use, and could move without a round trip. */
  async prepared(): Promise<number> {
    let owner: number | undefined;
    await until('a standby is ready', READY_MS, async () => {
      const { udp } = await this.view();
      owner = await this.owner();
      return owner !== undefined && udp.nodes.some(({ standby }) => standby > 0);
    });
    return owner ?? 0;
  }

  /** The index of the node that carries a forward's datagrams to that port, as all nodes know. */
  async carrier(target: number): Promise<number | undefined> {
    interface Row {
      readonly owner: string;
      readonly target?: string;
    }
    for (const index of [1, 2, 3]) {
      const rows = await this.nodes.view<Row[]>(index, '/api/v1/associations').catch(() => []);
      const row = rows.find((each) => each.target === `127.0.0.1:${target}`);
      if (row) return Number(row.owner.replace('node-', ''));
    }
    return undefined;
  }

  pid(index: number): number {
    return Number(this.nodes.read(`node-${index}.pid`));
  }

  async #ready(): Promise<boolean> {
    if (this.#client.exitCode !== null) throw new Error(`the client ended:\n${this.said}`);
    try {
      const port = this.nodes.base + 1_000 + CLIENT_OFFSET;
      return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
    } catch {
      return false;
    }
  }
}
