import { appendFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ForeignNode } from './foreign-node.ts';
import { forge, GroupTap, type NoiseKind, NoiseSource, REASONS } from './noise.ts';
import { countersBy, growth, identities, ViewWatch, Writer } from './noise-watch.ts';
import { descriptors, kernelDrops, processorMs } from './process-sockets.ts';
import { RealCluster, until } from './real-cluster.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const RATE = 5_000;
const NOISE_MS = FULL ? 60_000 : 2_000;
const TOGETHER = 200;
const STRANGERS = FULL ? 3_000 : 600;
const NODES = [1, 2, 3];
const SETTLE_MS = 10_000;
/** Some 10 ms without noise; every core is shared with the noise, its source and its watchers. */
const WRITE_BOUND_MS = 2_000;
/** Well below a second where nothing else runs, the first ones of a cluster excepted. */
const START_BOUND_MS = 10_000;
/** While a number of datagrams is compared, as many others of the kind may come by themselves. */
const TOLERANCE = 8;

const SESSIONS = '\nsessions:\n  beforeLoginPerAddress: 1000000\n  hold: 5s\n';

const cluster = await RealCluster.open();
const group = { address: '239.192.0.1', port: cluster.base + 2_000 };
const memberAt = (index: number) => ({ address: '127.0.0.1', port: group.port + index });
const pid = (index: number) => Number(cluster.read(`node-${index}.pid`));
t.teardown(() => cluster.remove());
await cluster.script('argyle', 'init', '--nodes', '3');
for (const index of NODES) {
  // All come from one address; and none is given out before all members have it.
  appendFileSync(cluster.file(`node-${index}.yaml`), SESSIONS);
}
await cluster.up();
const tap = await GroupTap.open(group);
t.teardown(() => tap.close());

function dropped(index: number): Promise<Map<string, number>> {
  return countersBy(cluster, index, 'group_dropped_total', 'reason');
}

/** From the first line that its process wrote to the one that says that it is ready. */
function startedSoon(t: Test, index: number): void {
  const lines = cluster.read(`node-${index}.log`).trim().split('\n');
  const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const own = entries.filter(({ pid }) => pid === entries.at(-1)?.['pid']);
  const ready = own.find(({ state }) => state === 'ready');
  const tookMs = Number(ready?.['time']) - Number(own[0]?.['time']);
  t.ok(tookMs < START_BOUND_MS, `node ${index} was ready after ${tookMs} ms`);
  t.comment(`node ${index} was ready after ${tookMs} ms`);
}

async function settled(nodes = NODES): Promise<void> {
  await until('equal digests', SETTLE_MS, async () => {
    const digests = await Promise.all(nodes.map((index) => cluster.digest(index)));
    return new Set(digests).size === 1;
  });
}

/** The members, their views and their records are as before, and writes went on meanwhile. */
async function nothingChanges(t: Test, meanwhile: () => Promise<void>): Promise<void> {
  const before = await identities(cluster, NODES);
  const writer = new Writer(cluster, NODES);
  const watch = new ViewWatch(cluster, NODES);
  await meanwhile();
  await writer.stop();
  await watch.stop();
  t.same(watch.differing, [], `the same view at each of ${watch.looks} looks`);
  t.same(writer.failures, [], 'what was written meanwhile resumes anywhere');
  t.ok(Math.max(...writer.tookMs) < WRITE_BOUND_MS, `writes go on: ${writer.summary}`);
  t.comment(`meanwhile ${writer.summary}`);
  await settled();
  t.same(await identities(cluster, NODES), before, 'nobody began anew');
}

t.test('noise changes nothing, and each datagram is counted by reason', async (t) => {
  for (const index of NODES) startedSoon(t, index);
  await until('enough was recorded', SETTLE_MS, () => tap.recorded.length > 50);
  await nothingChanges(t, () => sleep(500));
  const real = tap.recorded.map(({ bytes }) => bytes);
  const before = await Promise.all(NODES.map(dropped));
  const usedBefore = NODES.map((index) => processorMs(pid(index)));
  const lostBefore = NODES.map((index) => kernelDrops(pid(index)));
  const kinds = Object.keys(REASONS) as NoiseKind[];
  const sources = [await NoiseSource.open(1), await NoiseSource.open(200)];
  await nothingChanges(t, async () => {
    const send = (source: NoiseSource) =>
      source.run(RATE / 2, NOISE_MS, (index) => {
        const drawn = kinds[index % kinds.length] ?? 'random';
        // Each of those costs as much as fifty small ones.
        const kind = drawn === 'oversized' && index % 10 > 0 ? 'random seal' : drawn;
        const at = Math.floor(index / kinds.length) % (NODES.length + 1);
        source.send(forge(kind, real), at === 0 ? group : memberAt(at), `${at} ${kind}`);
      });
    await Promise.all(sources.map(send));
    await Promise.all(sources.map((source) => source.close()));
  });
  const sent = (at: number, kind: NoiseKind) =>
    sources.reduce((sum, source) => sum + (source.sent.get(`${at} ${kind}`) ?? 0), 0);
  for (const index of NODES) {
    const now = await dropped(index);
    const lost = kernelDrops(pid(index)) - (lostBefore[index - 1] ?? 0);
    for (const reasons of [['version'], ['short'], ['authentication', 'derivations']]) {
      const those = kinds.filter((kind) => REASONS[kind].every((one) => reasons.includes(one)));
      const came = those.reduce((sum, kind) => sum + sent(0, kind) + sent(index, kind), 0);
      const counted = growth(before[index - 1] ?? new Map(), now, reasons);
      const text = `node ${index}: ${reasons.join(' or ')}: ${counted} of ${came}`;
      t.ok(came > 100 && counted <= came && counted >= came - lost, text);
      t.comment(`${text}, ${lost} lost in the kernel`);
    }
    t.comment(`node ${index}: ${processorMs(pid(index)) - (usedBefore[index - 1] ?? 0)} ms of CPU`);
  }
});

t.test('a cluster with another key on the same group and port is only counted', async (t) => {
  const before = await Promise.all(NODES.map(dropped));
  const foreign = await ForeignNode.start(group);
  t.teardown(() => foreign.stop());
  await nothingChanges(t, async () => {
    await until('it is ready', SETTLE_MS, () => foreign.ready());
    await until('it was counted', SETTLE_MS, async () => {
      const now = await Promise.all(NODES.map(dropped));
      return now.every((one, at) => growth(before[at] ?? new Map(), one, ['cluster']) > 4);
    });
    t.same(await foreign.members(), ['foreign'], 'it sees nobody either');
    await foreign.stop();
  });
  for (const index of NODES) {
    const counted = growth(before[index - 1] ?? new Map(), await dropped(index), ['cluster']);
    const text = `node ${index}: ${counted}, it had sent ${foreign.sent} when last asked`;
    t.ok(counted >= foreign.sent && counted <= foreign.sent + TOLERANCE, text);
  }
});

t.test('what live members have sent changes nothing when it is sent again', async (t) => {
  const own = new Set((await identities(cluster, NODES)).flat().map((one) => one.split(' ')[1]));
  const recorded = tap.recorded.filter(({ incarnation }) => own.has(incarnation));
  const before = await Promise.all(NODES.map(dropped));
  const lostBefore = NODES.map((index) => kernelDrops(pid(index)));
  const acknowledged = { direction: 'sent', kind: 'acknowledgement' };
  const answeredBefore = await cluster.metric(1, 'group_segments_total', acknowledged);
  const source = await NoiseSource.open(1);
  await nothingChanges(t, async () => {
    await source.run(RATE, NOISE_MS, (index) => {
      const { bytes } = recorded[index % recorded.length] ?? { bytes: Buffer.alloc(0) };
      source.send(bytes, group, 'replayed');
    });
    await source.close();
  });
  const replayed = source.sent.get('replayed') ?? 0;
  for (const index of NODES) {
    const counted = growth(before[index - 1] ?? new Map(), await dropped(index), ['replayed']);
    const lost = kernelDrops(pid(index)) - (lostBefore[index - 1] ?? 0);
    const text = `node ${index}: replayed: ${counted} of ${replayed}, ${lost} lost in the kernel`;
    t.ok(counted >= replayed - lost && counted <= replayed + TOLERANCE, text);
    t.comment(text);
  }
  const answered = await cluster.metric(1, 'group_segments_total', acknowledged);
  t.ok(answered - answeredBefore < replayed / 4, `${answered - answeredBefore} acknowledgements`);
});

t.test('nor what one has sent that is gone, at one that started later', async (t) => {
  const [, , { self: { incarnation: gone } } = { self: { incarnation: '' } }] = await Promise.all(
    NODES.map((index) => cluster.cluster(index)),
  );
  await until('enough was recorded', SETTLE_MS, () => tap.of(gone).length > 30);
  await cluster.kill(3);
  await until('the loss is seen', SETTLE_MS, async () => {
    const views = await identities(cluster, [1, 2]);
    return views.every((view) => view.length === 2);
  });
  const recorded = tap.of(gone);
  const source = await NoiseSource.open(20);
  const replay = source.run(RATE, Infinity, (index) => {
    const to = index % 4 === 0 ? group : memberAt(index % 4);
    source.send(recorded[index % recorded.length] ?? Buffer.alloc(0), to, `${index % 4}`);
  });
  await cluster.up();
  t.comment(`${recorded.length} segments of the dead`);
  startedSoon(t, 3);
  const late = async () => [
    await dropped(3),
    await countersBy(cluster, 3, 'group_segments_total', 'direction'),
  ];
  const before = await late();
  const sentBefore = (source.sent.get('0') ?? 0) + (source.sent.get('3') ?? 0);
  await nothingChanges(t, () => sleep(NOISE_MS / 2));
  source.stop();
  await replay;
  await source.close();
  t.notOk(
    (await identities(cluster, NODES)).flat().some((one) => one.includes(gone)),
    'no ghost',
  );
  const came = (source.sent.get('0') ?? 0) + (source.sent.get('3') ?? 0) - sentBefore;
  const now = await late();
  const reasons = ['replayed', 'not admitted', 'stale'];
  const counted = growth(before[0] ?? new Map(), now[0] ?? new Map(), reasons);
  t.comment(`at the one that started later ${counted} of ${came} were dropped`);
  t.ok(counted > 0.5 * came, 'they are dropped; a first heartbeat of a stranger is only listed');
  await settled();
});

t.test('made-up incarnations keep nobody from joining', async (t) => {
  const real = tap.recorded.map(({ bytes }) => bytes);
  const source = await NoiseSource.open(100);
  const flood = source.run(RATE, Infinity, () => {
    source.send(forge('made-up incarnation', real), group, 'made-up');
  });
  await until('derivations are refused', SETTLE_MS, async () => {
    return ((await dropped(1)).get('derivations') ?? 0) > 1_000;
  });
  await cluster.kill(3);
  await cluster.up(4);
  for (const index of [3, 4]) startedSoon(t, index);
  const everyone = [...NODES, 4];
  t.ok((await identities(cluster, everyone)).every((view) => view.length === 4));
  source.stop();
  await flood;
  await source.close();
  await settled(everyone);
});

t.test('strangers at a member’s own TCP port are counted, and gone after a while', async (t) => {
  const before = await countersBy(cluster, 1, 'group_links_refused_total', 'reason');
  const heldBefore = descriptors(pid(1)).get('socket') ?? 0;
  const strangers: Socket[] = [];
  t.teardown(() => strangers.forEach((socket) => socket.destroy()));
  while (strangers.length < STRANGERS) {
    // As many as the kernel keeps until they are accepted: it drops others for seconds.
    const some = Array.from({ length: TOGETHER }, (_, index) => stranger(index));
    strangers.push(...some);
    await Promise.all(some.map((socket) => once(socket, 'connect')));
  }
  await cluster.kill(4);
  await cluster.up(4);
  t.equal((await cluster.cluster(4)).view.members.length, 4, 'a member joins meanwhile');
  let counted = 0;
  await until('all are counted', SETTLE_MS, async () => {
    const now = await countersBy(cluster, 1, 'group_links_refused_total', 'reason');
    counted = growth(before, now);
    return counted >= STRANGERS;
  });
  startedSoon(t, 4);
  t.ok(counted <= STRANGERS + TOLERANCE, `${counted} of ${STRANGERS}`);
  const now = await countersBy(cluster, 1, 'group_links_refused_total', 'reason');
  t.comment(Object.fromEntries(now));
  await until('their sockets are gone', SETTLE_MS, () => {
    return (descriptors(pid(1)).get('socket') ?? 0) <= heldBefore;
  });
  t.pass(`${heldBefore} sockets, as before`);
});

/** Silent, of another protocol, or with a hello that is cut off or none. */
function stranger(index: number): Socket {
  const { address, port } = memberAt(1);
  const socket = connect(port, address);
  socket.on('error', () => undefined);
  if (index % 4 === 1) socket.write('GET / HTTP/1.0\r\n\r\n');
  if (index % 4 === 2) socket.end(Buffer.from('16030100ff010000fb0303', 'hex'));
  if (index % 4 === 3) socket.write(Buffer.alloc(100, index));
  return socket;
}

t.test('each source was told once for each reason', (t) => {
  for (const index of NODES) {
    const lines = cluster.read(`node-${index}.log`).split('\n');
    const starts = lines.filter(
      (line) => line.includes('"replica state"') && line.includes('looking'),
    ).length;
    const told = lines.filter((line) => line.includes('segment dropped'));
    const reasons = told.map((line) => (JSON.parse(line) as { reason: string }).reason);
    const most = Math.max(...reasons.map((one) => reasons.filter((other) => one === other).length));
    t.ok(reasons.includes('authentication') && reasons.includes('version'), reasons.join(', '));
    t.ok(most <= Math.max(1, starts), `${most} times at most, ${starts} starts`);
    t.ok(lines.length < 1_000, `${lines.length} lines in all`);
  }
  t.end();
});
