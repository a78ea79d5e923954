import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '@argyle/host';
import t, { type Test } from 'tap';
import { Capture } from './capture.ts';
import { type Datagram, readDatagrams } from './datagrams.ts';
import { Flood } from './flood.ts';
import { type Forged, Forger } from './forger.ts';
import { identities, ViewWatch } from './noise-watch.ts';
import { EchoTarget, NumberedStream } from './numbered.ts';
import { missing, until } from './real-cluster.ts';
import { UdpCluster } from './udp-cluster.ts';
import { type NoiseKind, noiseKinds } from './udp-noise-kinds.ts';
import { MemoryWatch, type PortCounts, portCounts, portGrowth, total } from './udp-noise-watch.ts';
import {
  cutDatagram,
  hello,
  NO_EPOCH,
  SEALED,
  TAKE_BYTES,
  type WireRecord,
} from './wire-record.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const PER_SECOND = 20_000;
const SECONDS = FULL ? 60 : 3;
/** Before its memory is measured, a node compiles and fills what it keeps. */
const WARM_SECONDS = FULL ? 5 : 1;
const LOOK_MS = FULL ? 500 : 100;
/** More than fits into a socket's buffer. */
const BURST = { perSecond: 60_000, seconds: 0.3 };
const EVERY_MS = 20;
const NODES = [1, 2, 3] as const;
const SETTLE_MS = 10_000;
/** Answers come with the next turn of the node's event loop. */
const LATE_MS = 300;
/** Datagrams of the client that are triggers themselves, when it renews a standby. */
const TOLERANCE = 8;
/** Two cores are shared by the noise, three nodes, the client and this. */
const GAP_MS_MAX = FULL ? 1_000 : 2_000;
const HEAP_BYTES_MAX = 8 * 2 ** 20;
const RESIDENT_BYTES_MAX = 32 * 2 ** 20;
const LOG_LINES_MAX = 50;
const STRANGER = '127.0.0.67';
/** Of the real datagrams that are asked again, at most. */
const REAL_MAX = FULL ? 400 : 24;
const HELLOS = FULL ? 10_000 : 1_000;
/** secure-udp's PROTOCOL.md, "Take-over": a second, for an association. */
const TAKES_PER_SECOND = 50;
t.setTimeout(FULL ? 300_000 : 110_000);

const noTool = (await missing('tcpdump')) || (await missing('tshark')) || (await missing('cc'));

t.test('noise and strangers at the UDP port of real nodes', { skip: noTool }, async (t) => {
  const target = await EchoTarget.open();
  t.teardown(() => target.close());
  let port = 0;
  const opening = UdpCluster.open(t, (free) => {
    port = free;
    return [`udp:${free}=127.0.0.1:${target.port}`];
  });
  const [cluster, forger, flood] = await Promise.all([opening, Forger.make(), Flood.make()]);
  t.teardown(() => forger.remove());
  t.teardown(() => flood.remove());
  const stream = await NumberedStream.open(port, EVERY_MS);
  t.teardown(() => stream.close());
  const { owner, seen } = await begin(cluster, stream);
  const live = liveRecord(cluster, seen, owner);
  const scene = { cluster, stream, forger, flood, owner, seen, live };

  await t.test(`${PER_SECOND} datagrams a second for ${SECONDS} s`, (t) => withstand(t, scene));
  await t.test('no answer is larger than its question', (t) => askEverything(t, scene));
  await t.test('answers to unproven senders are few', (t) => askFromEverywhere(t, scene));
  await t.test('nodes cannot be made to answer each other', (t) => askForNodes(t, scene));
  await t.test('what nobody reads in time is counted', (t) => overflow(t, scene));

  stream.stop();
  await sleep(LATE_MS);
  const gap = stream.longestGapMs(stream.sentAt[0] ?? 0, Infinity);
  const { length } = stream.sentAt;
  t.ok(gap < GAP_MS_MAX, `the longest gap is ${gap.toFixed(0)} ms`);
  t.comment(`longest gap ${gap.toFixed(0)} ms, lost ${stream.lost.length} of ${length}`);
  t.comment(`moves ${JSON.stringify((await cluster.view()).udp.moves)}`);
});

interface Scene {
  readonly cluster: UdpCluster;
  readonly stream: NumberedStream;
  readonly forger: Forger;
  readonly flood: Flood;
  /** The node that carries the stream when it begins. */
  readonly owner: number;
  /** What passed between client and nodes then. */
  readonly seen: readonly Datagram[];
  /** A record of the epoch in which the stream goes to that node. */
  readonly live: WireRecord;
}

/** The stream begins, and all that its client and the nodes say to each other then is seen. */
async function begin(cluster: UdpCluster, stream: NumberedStream) {
  const { nodes } = cluster;
  const file = join(nodes.home, 'clients.pcap');
  const range = `portrange ${nodes.nodePort(1)}-${nodes.nodePort(3)}`;
  const capture = await Capture.start(file, `udp and ${range}`);
  stream.start();
  const owner = await cluster.prepared();
  await until('datagrams come back', SETTLE_MS, () => stream.returns.size > 20);
  await capture.stop();
  const seen = await readDatagrams(file);
  return { owner, seen };
}

/** The newest that went to the node. */
function liveRecord({ nodes }: UdpCluster, seen: readonly Datagram[], index: number): WireRecord {
  const records = seen
    .filter(({ to }) => to.port === nodes.nodePort(index))
    .flatMap(({ bytes }) => cutDatagram(bytes));
  // One with a payload: longer than a TAKE.
  const live = records.findLast(
    ({ type, bytes }) => type === SEALED && bytes.length > 2 * TAKE_BYTES,
  );
  if (!live) throw new Error('no payload was seen');
  return live;
}

const nodeAt = ({ nodes }: UdpCluster, index: number): Endpoint => {
  return { address: '127.0.0.1', port: nodes.nodePort(index) };
};

/** Noise at the node that carries the stream. */
async function withstand(t: Test, { cluster, stream, flood, owner, live }: Scene): Promise<void> {
  const { nodes } = cluster;
  const kinds = noiseKinds(live);
  const to = nodeAt(cluster, owner);
  await flood.run(to, { perSecond: PER_SECOND, seconds: WARM_SECONDS }, kinds);

  const pids = NODES.map((index) => cluster.pid(index));
  const known = await identities(nodes, NODES);
  const associations = await knownAssociations(cluster);
  const lines = () => nodes.read(`node-${owner}.log`).split('\n').length;
  const linesBefore = lines();
  const views = new ViewWatch(nodes, NODES);
  const before = await quietCounts(cluster, owner);
  const memory = new MemoryWatch(nodes, owner, LOOK_MS);
  const from = performance.now();
  const flooded = await flood.run(to, { perSecond: PER_SECOND, seconds: SECONDS }, kinds);
  const end = performance.now();
  const counts = portGrowth(before, await quietCounts(cluster, owner));
  const grown = await memory.stop();
  await views.stop();

  everyOneIsCounted(t, kinds, flooded.sent, counts);
  t.ok(flooded.answeredBytes <= flooded.sentBytes, `${flooded.answeredBytes} bytes are answered`);
  const most = TAKES_PER_SECOND * (SECONDS + 1) + TOLERANCE;
  t.ok(flooded.answers <= most, `in ${flooded.answers} datagrams`);
  const gap = stream.longestGapMs(from, end);
  t.ok(gap < GAP_MS_MAX, `the stream goes on: the longest gap is ${gap.toFixed(0)} ms`);
  const { heapBytes, residentBytes, looks } = grown;
  t.ok(heapBytes < HEAP_BYTES_MAX, `the heap has grown by ${heapBytes} bytes`);
  t.ok(residentBytes < RESIDENT_BYTES_MAX, `and the process by ${residentBytes}`);
  t.comment(`in ${looks} looks the heap grew by ${heapBytes} bytes, the process ${residentBytes}`);
  t.same(
    NODES.map((index) => cluster.pid(index)),
    pids,
    'the processes are the same',
  );
  t.same(views.differing, [], `the same view at each of ${views.looks} looks`);
  t.same(await identities(nodes, NODES), known, 'nobody began anew');
  t.same(await knownAssociations(cluster), associations, 'nor is there another association');
  t.ok(lines() - linesBefore < LOG_LINES_MAX, `${lines() - linesBefore} lines are logged`);
}

/** Sent is arrived, or dropped by the system; and what arrived is counted by a reason. */
function everyOneIsCounted(
  t: Test,
  kinds: readonly NoiseKind[],
  sentByKind: ReadonlyMap<string, number>,
  counts: PortCounts,
): void {
  const sent = [...sentByKind.values()].reduce((sum, each) => sum + each, 0);
  const { arrived, drops, systemDrops, opened, noise } = counts;
  t.ok(sent > 0.9 * PER_SECOND * SECONDS, `${sent} were sent`);
  t.equal(drops, systemDrops, `${drops} were dropped by the system, as the node says too`);
  // The stream's own may be among those.
  const surplus = TOLERANCE + Math.ceil(drops / 100);
  const counted = total(noise);
  t.ok(counted + drops >= sent, `${counted} of them, and those, are no fewer than were sent`);
  t.ok(counted + drops <= sent + surplus, 'and no more');
  t.ok(arrived >= counted && arrived <= counted + opened, `the other ${arrived - counted} opened`);
  for (const { label, counted: reasons } of kinds) {
    // Others may be counted by these, too; what all are counted by together is exact.
    const by = total(noise, reasons);
    const came = sentByKind.get(label) ?? 0;
    t.ok(by >= came - drops, `${label}: of ${came}, ${by} counted as ${reasons.join(' or ')}`);
  }
  t.comment(`${sent} sent, ${arrived} arrived, ${drops} dropped: ${JSON.stringify(noise)}`);
}

async function knownAssociations({ nodes }: UdpCluster): Promise<string[][]> {
  interface Row {
    readonly association: string;
  }
  const rows = NODES.map((index) => nodes.view<Row[]>(index, '/api/v1/associations'));
  return (await Promise.all(rows)).map((each) => each.map(({ association }) => association).sort());
}

/** Once the node has read all that waits, the stream's excepted. */
async function quietCounts({ nodes }: UdpCluster, index: number): Promise<PortCounts> {
  let last = await portCounts(nodes, index);
  await until('no noise comes any more', SETTLE_MS, async () => {
    const now = await portCounts(nodes, index);
    const { noise, drops } = portGrowth(last, now);
    last = now;
    return total(noise) + drops === 0;
  });
  return last;
}

/** Whoever asks, and what each node has answered. */
class Asker {
  readonly asked = new Map<number, number>();
  readonly answered = new Map<number, { bytes: number; datagrams: number }>();
  readonly #socket: Socket;

  static async open(): Promise<Asker> {
    const socket = createSocket('udp4').bind(0, STRANGER);
    await once(socket, 'listening');
    return new Asker(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', ({ length }, { port }) => {
      const { bytes, datagrams } = this.answered.get(port) ?? { bytes: 0, datagrams: 0 };
      this.answered.set(port, { bytes: bytes + length, datagrams: datagrams + 1 });
    });
  }

  ask(bytes: Buffer, { address, port }: Endpoint): void {
    this.asked.set(port, bytes.length);
    this.#socket.send(bytes, port, address);
  }

  close(): void {
    this.#socket.close();
  }
}

/** Each kind of question at each node, from a port of its own. */
async function askEverything(t: Test, { cluster, seen, live }: Scene): Promise<void> {
  const known = hello(live.association, 2n);
  const step = Math.max(1, Math.floor(seen.length / REAL_MAX));
  const questions = [
    ...noiseKinds(live).map(({ label, bytes }) => ({ label, bytes })),
    { label: 'twenty in one', bytes: Buffer.concat(Array.from({ length: 20 }, () => known)) },
    { label: 'and what makes no sense', bytes: Buffer.concat([known, Buffer.alloc(900, 1)]) },
    { label: 'cut short', bytes: known.subarray(0, -1) },
    // The first ones are the real HELLOs, TAKEs and opening records.
    ...seen
      .filter((_, index) => index < REAL_MAX / 2 || index % step === 0)
      .map(({ bytes }) => ({ label: 'real', bytes })),
  ];
  t.ok(
    seen.some(({ bytes }) => cutDatagram(bytes)[0]?.epoch === NO_EPOCH),
    'HELLOs of the client',
  );
  const before = await Promise.all(NODES.map((index) => portCounts(cluster.nodes, index)));
  const askers = await Promise.all(
    questions.map(async ({ label, bytes }) => ({ label, bytes, asker: await Asker.open() })),
  );
  t.teardown(() => askers.forEach(({ asker }) => asker.close()));
  for (const { bytes, asker } of askers) {
    for (const index of NODES) asker.ask(bytes, nodeAt(cluster, index));
    // As many TAKEs as an association has.
    await sleep(1_000 / TAKES_PER_SECOND);
  }
  for (const [at, index] of NODES.entries()) {
    await until(`node-${index} has read all`, SETTLE_MS, async () => {
      const { arrived } = await portCounts(cluster.nodes, index);
      return arrived >= (before[at]?.arrived ?? 0) + questions.length;
    });
  }
  await sleep(LATE_MS);
  const sums = { asked: 0, answered: 0, questions: 0, answers: 0 };
  const larger: string[] = [];
  for (const { label, asker } of askers) {
    for (const [port, asked] of asker.asked) {
      const { bytes, datagrams } = asker.answered.get(port) ?? { bytes: 0, datagrams: 0 };
      sums.asked += asked;
      sums.answered += bytes;
      sums.questions += 1;
      sums.answers += datagrams;
      if (bytes > asked || datagrams > 1) larger.push(`${label}: ${asked} by ${bytes}`);
    }
  }
  t.same(larger, [], 'none is answered by more bytes, or more than one datagram');
  t.ok(sums.answers > NODES.length && sums.answered <= sums.asked, JSON.stringify(sums));
  t.comment(JSON.stringify(sums));
}

/** HELLOs of one association, each in the name of another address. */
async function askFromEverywhere(t: Test, { cluster, live, forger, owner }: Scene): Promise<void> {
  const { nodes } = cluster;
  // Whoever is on this machine: all of 127.0.0.0/8.
  const everybody = createSocket('udp4').bind(0, '0.0.0.0');
  await once(everybody, 'listening');
  t.teardown(() => everybody.close());
  const heard = { datagrams: 0, bytes: 0 };
  everybody.on('message', ({ length }) => {
    heard.datagrams += 1;
    heard.bytes += length;
  });
  const { port } = everybody.address();
  const forged = Array.from({ length: HELLOS }, (_, at): Forged => {
    const address = `127.1.${at >> 8}.${at & 255}`;
    return {
      from: { address, port },
      to: nodeAt(cluster, owner),
      bytes: hello(live.association, BigInt(at)),
    };
  });
  // The allowance is whole again.
  await sleep(1_000);
  const before = await portCounts(nodes, owner);
  const from = performance.now();
  await forger.send(forged);
  const counts = async () => portGrowth(before, await portCounts(nodes, owner));
  await until('all are counted', SETTLE_MS, async () => {
    const { noise, drops } = await counts();
    return total(noise) + drops >= HELLOS;
  });
  const tookMs = performance.now() - from;
  await sleep(LATE_MS);
  const most = TAKES_PER_SECOND * (1 + tookMs / 1_000);
  const { noise } = await counts();
  const { datagrams, bytes } = heard;
  const text = `${HELLOS} HELLOs in ${tookMs.toFixed(0)} ms: ${datagrams} answers, ${bytes} bytes`;
  t.comment(`${text}, ${JSON.stringify(noise)}`);
  t.ok(datagrams > 0 && datagrams <= most, `${text}; at most ${most.toFixed(0)}`);
  t.equal(bytes, datagrams * TAKE_BYTES);
  t.ok(bytes <= HELLOS * TAKE_BYTES);
  const answered = noise['answered'] ?? 0;
  t.ok(answered >= datagrams && answered <= datagrams + TOLERANCE, 'as the node counts them');
}

/** What is answered in a node's name goes there, and ends there. */
async function askForNodes(t: Test, { cluster, live, forger }: Scene): Promise<void> {
  const { nodes } = cluster;
  const trigger = Buffer.from(live.bytes);
  trigger.write('ab'.repeat(8), 13, 'hex');
  const questions = [hello(live.association, 3n), trigger];
  const pairs = [
    [1, 2],
    [2, 3],
    [3, 3],
  ] as const;
  for (const [one, other] of pairs) {
    const before = await Promise.all(NODES.map((index) => portCounts(nodes, index)));
    const [from, to] = [nodeAt(cluster, other), nodeAt(cluster, one)];
    await forger.send(questions.map((bytes) => ({ from, to, bytes })));
    await sleep(LATE_MS);
    const answered = before.map(async (counts, at) => {
      const { noise } = portGrowth(counts, await portCounts(nodes, at + 1));
      return noise['answered'] ?? 0;
    });
    const wanted = NODES.map((index) => (index === one ? questions.length : 0));
    const text = `node-${one} answers in the name of node-${other}, and nobody else`;
    t.same(await Promise.all(answered), wanted, text);
  }
}

/** At a node that stands still, though not for long, and does not carry the stream. */
async function overflow(t: Test, { cluster, flood, live }: Scene): Promise<void> {
  const owner = await cluster.owner();
  const idle = NODES.find((index) => index !== owner) ?? 1;
  const pid = cluster.pid(idle);
  const before = await quietCounts(cluster, idle);
  process.kill(pid, 'SIGSTOP');
  const { sent } = await flood
    .run(nodeAt(cluster, idle), BURST, noiseKinds(live))
    .finally(() => process.kill(pid, 'SIGCONT'));
  const { drops, systemDrops, noise } = portGrowth(before, await quietCounts(cluster, idle));
  const all = total(Object.fromEntries(sent));
  t.ok(drops > 0 && drops < all, `${drops} of ${all} were dropped by the system`);
  t.equal(drops, systemDrops, 'as its own table says');
  const surplus = total(noise) + drops - all;
  t.ok(surplus >= 0 && surplus <= TOLERANCE, `${total(noise)} were counted by reasons`);
  t.comment(`${all} sent, ${drops} dropped, ${total(noise)} counted`);
}
