import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '@argyle/host';
import t, { type Test } from 'tap';
import type { Datagram } from './datagrams.ts';
import { FILLER } from './numbered.ts';
import { missing, until } from './real-cluster.ts';
import { SecretSearch } from './secret-search.ts';
import { cutDatagram, SEALED, TAKE_OVER, type WireSuite } from './wire-record.ts';
import { NODES, SETTLE_MS, WireScene } from './wire-scene.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const KILLS = FULL ? 5 : 1;
/** Datagrams in which a byte is changed, to see that the reader notices. */
const SPOILT = 40;
/** Besides the default one. */
const SUITES: readonly WireSuite[] = FULL
  ? ['aes-256-gcm', 'chacha20-poly1305', 'aes-128-cbc-hmac-sha256']
  : ['aes-128-cbc-hmac-sha256'];
/** From there everything is sent once more. */
const STRANGERS = ['127.0.0.2', '127.0.0.77'];
t.setTimeout(FULL ? 900_000 : 110_000);

const noTool = (await missing('tcpdump')) || (await missing('tshark')) || (await missing('cc'));

t.test('what passes between client and nodes', { skip: noTool }, async (t) => {
  const scene = await WireScene.open(t, 'aes-128-gcm');
  const { cluster } = scene;
  const first = await scene.talk(() => cluster.prepared());
  await t.test('before a take-over, whatever is sent again is relayed by nobody', async (t) => {
    await replayEverywhere(t, scene, first);
  });
  // In one: what a node offers when it is back is taken up after the next kill.
  const kills = await scene.talk(async () => {
    for (let kill = 0; kill < KILLS; kill += 1) {
      await scene.takeOver();
      await cluster.nodes.up(3);
    }
  });
  const seen = [...first, ...kills];
  await t.test('after it neither, at any node', async (t) => {
    await replayEverywhere(t, scene, seen);
  });
  await t.test('what nodes have sent moves nobody when it comes again', async (t) => {
    await replayToClient(t, scene, seen);
  });

  await t.test('every record is what PROTOCOL.md draws', (t) => {
    readEverything(t, scene, seen);
    t.end();
  });
  await t.test('and the association still serves', async () => {
    await scene.talk(async () => undefined);
  });
});

for (const suite of SUITES) {
  t.test(`what passes under ${suite}`, { skip: noTool }, async (t) => {
    const scene = await WireScene.open(t, suite);
    const seen = await scene.talk(() => scene.cluster.prepared());
    seen.push(...(await scene.talk(() => scene.takeOver())));
    readEverything(t, scene, seen);
  });
}

/** With the keys of the cluster, and without. */
function readEverything(t: Test, scene: WireScene, seen: readonly Datagram[]): void {
  const audit = scene.newAudit();
  const { stream, target } = scene;
  for (const datagram of seen) audit.add(datagram);
  t.same(audit.faults.slice(0, 5), [], `${seen.length} datagrams, every byte of them read`);
  t.comment(JSON.stringify(Object.fromEntries([...audit.counts].sort())));
  for (const kind of ['client HELLO', 'client opening', 'client sealed', 'node TAKE']) {
    t.ok(audit.counts.get(kind), kind);
  }
  for (const kind of ['client DATA', 'client PROBE', 'node DATA', 'node RECEIVED']) {
    t.ok(audit.counts.get(kind), kind);
  }
  const numbers = new Set(stream.sentAt.keys());
  for (const payloads of [audit.toNode, audit.toClient]) {
    t.ok(payloads.length > 0 && payloads.every((payload) => payload.includes(FILLER)));
    const carried = new Set(payloads.map((payload) => payload.readUInt32BE(10)));
    t.same([...carried.difference(numbers)], [], 'the numbers of the application');
  }
  t.ok(target.arrivals.size > 0);
  const sealed = [...seen.keys()].filter((index) => seen[index]?.bytes[0] === SEALED);
  for (let part = 0; part < SPOILT; part += 1) {
    const index = sealed[Math.floor((part * sealed.length) / SPOILT)] ?? 0;
    const before = scene.newAudit();
    for (const datagram of seen.slice(0, index)) before.add(datagram);
    before.add(spoilt(seen[index]!, part));
    if (before.faults.length !== 1) t.fail(`a byte of datagram ${index} is changed, unnoticed`);
  }
  const words = new SecretSearch();
  words.add('the payload', Buffer.from(FILLER));
  for (const file of scene.captured) t.same(words.find(file), [], 'nothing of it is in clear');
}

/** Each datagram of the client at each node, from strangers' addresses and from its own. */
async function replayEverywhere(
  t: Test,
  scene: WireScene,
  seen: readonly Datagram[],
): Promise<void> {
  const { cluster, forger, target, stream } = scene;
  const nodePorts = NODES.map((index) => cluster.nodes.nodePort(index));
  const recorded = seen.filter(({ to }) => nodePorts.includes(to.port));
  const records = recorded.flatMap(({ bytes }) => cutDatagram(bytes)).length;
  const arrived = () => [...target.arrivals.values()].flat().length;
  const before = { arrived: arrived(), returns: stream.returns.size };
  const relayed = await scene.relayed();
  const moves = await scene.moves();
  t.ok(records > 50, `${records} records`);
  for (const index of NODES) {
    const to = scene.endpoint(index);
    const from = ({ address, port }: Endpoint) => [
      { address, port },
      ...STRANGERS.map((stranger) => ({ address: stranger, port })),
    ];
    const forged = recorded.flatMap((datagram) =>
      from(datagram.from).map((sender) => ({ from: sender, to, bytes: datagram.bytes })),
    );
    const counted = await scene.dropped(index);
    await forger.send(forged);
    const wanted = records * (1 + STRANGERS.length);
    await until('the node has read them', SETTLE_MS, async () => {
      return (await scene.dropped(index)) - counted >= wanted;
    }).catch(() => undefined);
    t.equal((await scene.dropped(index)) - counted, wanted, `node-${index} counted each`);
    t.comment(`node-${index}: ${await scene.reasons(index)}`);
  }
  await sleep(300);
  t.equal(arrived(), before.arrived, 'the target has heard nothing');
  t.equal(stream.returns.size, before.returns, 'nor the application');
  t.equal(await scene.relayed(), relayed, 'and nothing was relayed');
  t.equal(await scene.moves(), moves, 'the association stays where it is');
}

/** With one byte changed. */
function spoilt({ from, to, bytes }: Datagram, seed: number): Datagram {
  const changed = Buffer.from(bytes);
  const at = (seed * 13) % changed.length;
  changed[at] = changed.readUInt8(at) ^ (1 << (seed % 8));
  return { from, to, bytes: changed };
}

/** All that nodes have sent, from their addresses and from others, to where it went. */
async function replayToClient(t: Test, scene: WireScene, seen: readonly Datagram[]): Promise<void> {
  const { cluster, forger, stream } = scene;
  const nodePorts = NODES.map((index) => cluster.nodes.nodePort(index));
  const recorded = seen.filter(({ from }) => nodePorts.includes(from.port));
  const takes = recorded.filter(({ bytes }) => bytes[0] === TAKE_OVER);
  t.ok(takes.length > 1, `${takes.length} TAKEs`);
  const stale = () => cluster.metric('client_records_dropped_total', { reason: 'stale take' });
  const before = {
    moves: await scene.moves(),
    owner: await cluster.owner(),
    stale: await stale().catch(() => 0),
    returns: [...stream.returns.values()].flat().length,
  };
  const senders = (from: Endpoint) => [
    from,
    { address: '127.0.0.1', port: 9 },
    { address: '127.0.0.2', port: from.port },
    ...NODES.map((index) => scene.endpoint(index)),
  ];
  await forger.send(
    [...takes, ...recorded].flatMap((datagram) =>
      senders(datagram.from).map((from) => ({ from, to: datagram.to, bytes: datagram.bytes })),
    ),
  );
  await until('the client has counted them', SETTLE_MS, async () => {
    return (await stale().catch(() => 0)) > before.stale;
  });
  await sleep(300);
  t.equal(await scene.moves(), before.moves, 'no move');
  t.equal(await cluster.owner(), before.owner, 'the same node is in use');
  t.equal([...stream.returns.values()].flat().length, before.returns, 'nothing came twice');
}
