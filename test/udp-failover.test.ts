import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { NumberedStream } from './numbered.ts';
import { until } from './real-cluster.ts';
import { UdpCluster } from './udp-cluster.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const KILLS = FULL ? 20 : 4;
/** From one kill to the next. */
const SPACING_MS = FULL ? 5_000 : 3_000;
const EVERY_MS = 20;
const BACK_MS = 30_000;
t.setTimeout(FULL ? 600_000 : 110_000);

/**
 * What a gap may be: half of them, nine of ten, and any. The small size runs on machines that are
 * busy with other tests, and looks at fewer.
 */
interface Bars {
  readonly medianMs: number;
  readonly mostMs: number;
  readonly mostShare: number;
}

const WAYS: readonly {
  readonly title: string;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
  readonly bars: Bars;
}[] = [
  {
    title: 'dies',
    signal: 'SIGKILL',
    bars: { medianMs: 60, mostMs: 150, mostShare: 18 / 20 },
  },
  {
    title: 'stands still',
    signal: 'SIGSTOP',
    bars: { medianMs: 120, mostMs: 250, mostShare: 19 / 20 },
  },
];

for (const { title, signal, bars } of WAYS) {
  t.test(`datagrams go on when the node that carries them ${title}`, async (t) => {
    const { cluster, stream } = await UdpCluster.openStream(t, EVERY_MS);
    stream.start();
    await everyDatagramIsCounted(t, cluster, stream);
    const full = () => cluster.metric('client_handshakes_total', { resumed: 'false' });
    const before = await full();

    const kills: number[] = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      const owner = await cluster.prepared();
      const pid = cluster.pid(owner);
      const at = performance.now();
      kills.push(at);
      process.kill(pid, signal);
      await until('datagrams come back', 10_000, () => {
        const since = stream.sentAt.findIndex((sentAt) => sentAt > at);
        return since >= 0 && [...stream.returns.keys()].some((number) => number > since);
      });
      await sleep(SPACING_MS / 2);
      if (signal === 'SIGSTOP') process.kill(pid, 'SIGCONT');
      else await cluster.nodes.up(3);
      await until('all are together', BACK_MS, () => together(cluster));
      await sleep(Math.max(0, at + SPACING_MS - performance.now()));
    }
    stream.stop();
    await sleep(500);
    t.equal(await full(), before, 'no full handshake anywhere');
    report(t, stream, kills, bars);
  });
}

/** While nothing dies, the node that carries the stream counts every one, both ways. */
async function everyDatagramIsCounted(
  t: Test,
  cluster: UdpCluster,
  stream: NumberedStream,
): Promise<void> {
  const owner = await cluster.prepared();
  await sleep(1_000);
  stream.stop();
  await until('all are back', 5_000, () => stream.lost.length === 0);
  for (const direction of ['to-target', 'to-client']) {
    const counted = await cluster.nodes.metric(owner, 'udp_datagrams_total', { direction });
    t.equal(counted, stream.sentAt.length, `node-${owner} counted every datagram ${direction}`);
  }
  stream.start();
}

async function together(cluster: UdpCluster): Promise<boolean> {
  const views = await Promise.all(
    [1, 2, 3].map((index) => cluster.nodes.cluster(index).catch(() => undefined)),
  );
  return views.every((view) => view?.self.state === 'ready' && view.view.members.length === 3);
}

function report(t: Test, stream: NumberedStream, kills: readonly number[], bars: Bars): void {
  const gaps = kills.map((at) => stream.gapMs(at)).sort((a, b) => a - b);
  const median = gaps[Math.floor((gaps.length - 1) / 2)] ?? Infinity;
  const within = gaps.filter((gap) => gap <= bars.mostMs).length;
  const shown = gaps.map((gap) => gap.toFixed(0)).join(' ');
  t.comment(`gaps, ms: ${shown}; lost ${stream.lost.length} of ${stream.sentAt.length}`);
  t.ok(median <= bars.medianMs * (FULL ? 1 : 3), `median ${median.toFixed(0)} ms`);
  if (FULL) t.ok(within >= bars.mostShare * KILLS, `${within} of ${KILLS} in ${bars.mostMs} ms`);
  t.ok(stream.lost.length <= kills.length * 2, `${stream.lost.length} datagrams were lost`);
}
