import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { BalancerProcess } from './balancer.ts';
import { EchoTarget, NumberedStream } from './numbered.ts';
import { missing, run, until } from './real-cluster.ts';
import { UdpCluster } from './udp-cluster.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const KILLS = FULL ? 12 : 3;
/** From a loss until every datagram comes back again. */
const GAP_MAX_MS = 1_000;
const SPACING_MS = 3_000;
const STREAMS = 3;
const EVERY_MS = 20;
const NODES = [1, 2, 3];
const READY_MS = 30_000;
t.setTimeout(FULL ? 300_000 : 110_000);

/** What a stream has at the node that is lost, and how it is lost. */
const PLANS = [
  { carries: 'TCP', signal: 'SIGKILL' },
  { carries: 'UDP', signal: 'SIGKILL' },
  { carries: 'UDP', signal: 'SIGSTOP' },
] as const;

const needs = { skip: await missing('nginx') };

t.test(
  'behind one address, datagrams outlive their node and that of their TCP',
  needs,
  async (t) => {
    const targets = await Promise.all(Array.from({ length: STREAMS }, () => EchoTarget.open()));
    t.teardown(() => targets.forEach((target) => target.close()));
    let first = 0;
    let balancer: BalancerProcess | undefined;
    const forwards = (free: number) => {
      first = free;
      return targets.map(({ port }, index) => `udp:${free + index}=127.0.0.1:${port}`);
    };
    const cluster = await UdpCluster.open(t, forwards, {
      front: async (nodes) => {
        balancer = await BalancerProcess.open(nodes);
        t.teardown(() => balancer?.stop());
        return balancer.address;
      },
    });
    const streams = await Promise.all(
      targets.map((_, index) => NumberedStream.open(first + index, EVERY_MS)),
    );
    t.teardown(() => streams.forEach((stream) => stream.close()));
    const scene = { cluster, streams, targets };
    let split: number | undefined;
    for (const [index, stream] of streams.entries()) {
      const before = await places(scene);
      stream.start();
      await until('it has a node', READY_MS, async () => {
        return (await places(scene)).udp[index] !== undefined;
      });
      const { udp, tcp } = await places(scene);
      const control = tcp.find((node) => count(tcp, node) > count(before.tcp, node));
      t.comment(`stream ${index}: UDP at node-${udp[index]}, TCP at node-${control}`);
      if (control !== udp[index]) split ??= index;
      // Somebody else's datagram: the next one's go to the next node.
      else await run('/bin/bash', ['-c', `echo >/dev/udp/${balancer?.address.replace(':', '/')}`]);
    }
    t.not(split, undefined, 'of some, TCP and UDP are at two nodes from the start');

    for (let kill = 0; kill < KILLS; kill += 1) {
      await loseOne(t, scene, split ?? 0, PLANS[kill % PLANS.length]!);
    }
  },
);

interface Scene {
  readonly cluster: UdpCluster;
  readonly streams: readonly NumberedStream[];
  readonly targets: readonly EchoTarget[];
}

interface Places {
  /** Of each stream the node that carries it. */
  readonly udp: readonly (number | undefined)[];
  /** The nodes of the control connections, each as often as it has one. */
  readonly tcp: readonly number[];
}

async function places({ cluster, targets }: Scene): Promise<Places> {
  const udp = await Promise.all(targets.map(({ port }) => cluster.carrier(port)));
  const controls = await Promise.all(
    NODES.map((index) => cluster.nodes.metric(index, 'udp_controls').catch(() => 0)),
  );
  return {
    udp,
    tcp: NODES.flatMap((index) => Array<number>(controls[index - 1] ?? 0).fill(index)),
  };
}

function count(nodes: readonly number[], wanted: number): number {
  return nodes.filter((node) => node === wanted).length;
}

async function loseOne(
  t: Test,
  scene: Scene,
  stream: number,
  { carries, signal }: (typeof PLANS)[number],
): Promise<void> {
  const { cluster, streams } = scene;
  const { udp, tcp } = await places(scene);
  const elsewhere = tcp.find((node) => node !== udp[stream]) ?? tcp[0];
  const victim = (carries === 'UDP' ? udp[stream] : elsewhere) ?? 0;
  const at = performance.now();
  process.kill(cluster.pid(victim), signal);
  await sleep(SPACING_MS);
  const gaps = streams.map((stream) => stream.gapMs(at).toFixed(0));
  const hit = udp.flatMap((carrier, index) => (carrier === victim ? [index] : []));
  // Of the last ones some may be on their way.
  const lost = (from: number) =>
    streams.map((stream) => {
      return stream.lost.filter((number) => {
        const sentAt = stream.sentAt[number] ?? 0;
        return sentAt > at + from && sentAt < at + SPACING_MS - 500;
      }).length;
    });
  t.comment(
    `node-${victim}, ${signal} (UDP of ${hit.join(' ') || 'none'}, TCP of ` +
      `${count(tcp, victim)}): gaps, ms: ${gaps.join(' ')}; ` +
      `lost: ${lost(-500).join(' ')}`,
  );
  t.same(lost(GAP_MAX_MS), [0, 0, 0], 'none of the later datagrams was lost');
  if (signal === 'SIGSTOP') process.kill(cluster.pid(victim), 'SIGCONT');
  await cluster.nodes.up(NODES.length);
}

t.test('scripts/balancer says what it wants', needs, async (t) => {
  const home = { ARGYLE_HOME: '/nonexistent' };
  for (const [args, code, said] of [
    [['--help'], 0, /usage: scripts\/balancer \[PORT\]/],
    [['0'], 2, /usage/],
    [['70000'], 2, /usage/],
    [[], 1, /\/nonexistent holds no nodes: scripts\/up makes them/],
  ] as const) {
    const result = await run('scripts/balancer', args, home);
    t.equal(result.code, code, args.join());
    t.match(result.output, said);
  }
});
