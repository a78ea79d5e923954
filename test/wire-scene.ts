import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '@argyle/host';
import type { Test } from 'tap';
import { Capture } from './capture.ts';
import { type Datagram, readDatagrams } from './datagrams.ts';
import { Forger } from './forger.ts';
import { Spy } from './known-secrets.ts';
import { EchoTarget, NumberedStream } from './numbered.ts';
import { until } from './real-cluster.ts';
import { SecretSearch } from './secret-search.ts';
import { UdpCluster } from './udp-cluster.ts';
import { WireAudit } from './wire-audit.ts';
import type { WireSuite } from './wire-record.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const TALK_MS = FULL ? 5_000 : 1_500;
const EVERY_MS = 20;
export const NODES = [1, 2, 3] as const;
export const SETTLE_MS = 10_000;

/** A client that forwards numbered datagrams through three nodes, and all that is to be seen. */
export class WireScene {
  readonly suite: WireSuite;
  readonly cluster: UdpCluster;
  readonly target: EchoTarget;
  readonly stream: NumberedStream;
  readonly forger: Forger;
  readonly #spy: Spy;
  /** All that was captured, UDP and TCP. */
  readonly captured: Buffer[] = [];

  static async open(t: Test, suite: WireSuite): Promise<WireScene> {
    const target = await EchoTarget.open();
    t.teardown(() => target.close());
    const forger = await Forger.make();
    t.teardown(() => forger.remove());
    let port = 0;
    const forward = (free: number) => {
      port = free;
      return [`udp:${free}=127.0.0.1:${target.port}`];
    };
    // What nobody has confirmed is not sent again: whatever comes twice is a replay.
    const client = 'udp: { resend: { datagrams: 0 } }';
    const node = () => `\nsocks: { udp: { suite: ${suite} } }\n`;
    const cluster = await UdpCluster.open(t, forward, { client, node });
    const spy = await Spy.join(new SecretSearch(), cluster.nodes);
    t.teardown(() => spy.leave());
    const stream = await NumberedStream.open(port, EVERY_MS);
    t.teardown(() => stream.close());
    return new WireScene({ suite, cluster, target, stream, forger }, spy);
  }

  private constructor(
    parts: Pick<WireScene, 'suite' | 'cluster' | 'target' | 'stream' | 'forger'>,
    spy: Spy,
  ) {
    this.suite = parts.suite;
    this.cluster = parts.cluster;
    this.target = parts.target;
    this.stream = parts.stream;
    this.forger = parts.forger;
    this.#spy = spy;
  }

  /** Of what is captured from now on, or once more from the beginning. */
  newAudit(): WireAudit {
    const ports = NODES.map((index) => this.cluster.nodes.nodePort(index));
    return new WireAudit(this.suite, ports, (id) => this.#spy.associations.get(id));
  }

  /** The stream runs, and what happens meanwhile; what passed at the nodes' ports. */
  async talk(meanwhile: () => Promise<unknown>): Promise<Datagram[]> {
    const { cluster, stream, target } = this;
    const [low, high] = [cluster.nodes.nodePort(1), cluster.nodes.nodePort(9)];
    const file = join(cluster.nodes.home, `clients-${this.captured.length}.pcap`);
    const capture = await Capture.start(file, `portrange ${low}-${high}`);
    const before = stream.returns.size;
    stream.start();
    await until('datagrams come back', SETTLE_MS, () => stream.returns.size > before);
    await meanwhile();
    await sleep(TALK_MS);
    stream.stop();
    await until('all is still', SETTLE_MS, async () => {
      const [there, back] = [target.arrivals.size, stream.returns.size];
      await sleep(200);
      return there === target.arrivals.size && back === stream.returns.size;
    });
    this.captured.push(await capture.stop());
    return readDatagrams(file);
  }

  /** The node in use dies while the stream runs. */
  async takeOver(): Promise<void> {
    const { cluster, stream } = this;
    const owner = await cluster.prepared();
    const at = performance.now();
    process.kill(cluster.pid(owner), 'SIGKILL');
    await until('another node serves', SETTLE_MS, () => {
      const since = stream.sentAt.findIndex((sentAt) => sentAt > at);
      return since >= 0 && [...stream.returns.keys()].some((number) => number > since);
    });
  }

  /** Records that a node has not opened, and those that it has answered by a TAKE. */
  async dropped(index: number): Promise<number> {
    const { nodes } = this.cluster;
    const dropped = await nodes.metric(index, 'udp_dropped_total').catch(() => 0);
    return dropped + (await nodes.metric(index, 'udp_takes_total'));
  }

  /** Why, since the node began. */
  async reasons(index: number): Promise<string> {
    const { base } = this.cluster.nodes;
    const answer = await fetch(`http://127.0.0.1:${base + 1_000 + index}/metrics`);
    const lines = (await answer.text()).matchAll(/^argyle_udp_(dropped|takes)_total(\S*) (\d+)$/gm);
    return [...lines].map(([, name, labels, count]) => `${name}${labels} ${count}`).join(', ');
  }

  relayed(): Promise<number> {
    return sum(NODES.map((index) => this.cluster.nodes.metric(index, 'udp_datagrams_total')));
  }

  moves(): Promise<number> {
    return this.cluster.metric('client_association_moves_total');
  }

  endpoint(index: number): Endpoint {
    return { address: '127.0.0.1', port: this.cluster.nodes.nodePort(index) };
  }
}

async function sum(values: readonly Promise<number>[]): Promise<number> {
  return (await Promise.all(values)).reduce((total, value) => total + value, 0);
}
