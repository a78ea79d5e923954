/** Ports that lead to one target, through nodes that run the real machine. */
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ClientChanges } from './scene.ts';
import { metric, startClient, startNodes, until } from './scene.ts';
import { HEADER, Peer } from './udp-scene.ts';

const PORTS = [22_420, 22_421];
const LISTEN = { address: '127.0.0.1', port: 22_429 };
const TARGET = { host: 'target.example', port: 53 };
const FORWARD = { protocol: 'udp', listen: LISTEN, target: TARGET } as const;
const REQUEST = Buffer.from([5, 0x83, 0, 3, 14, ...Buffer.from('target.example'), 0, 53]);

async function forwarding(t: Test, changes: ClientChanges = {}) {
  const nodes = await startNodes(t, PORTS);
  const scene = await startClient(t, PORTS, { forwards: [FORWARD], ...changes });
  const refused = (reason: string) =>
    metric(scene.client, 'client_datagrams_refused_total', { reason });
  const open = () => metric(scene.client, 'client_associations');
  const told = (event: string) =>
    scene.log.filter(({ fields }) => 'event' in fields && fields.event === event);
  return { ...scene, nodes, refused, open, told };
}

/** Says a word now and then until the condition holds. */
async function repeated(peer: Peer, condition: () => boolean): Promise<void> {
  while (!condition()) {
    peer.send('again', LISTEN);
    await delay(20);
  }
}

t.test('each sender has an association of its own, for the one target', async (t) => {
  const { nodes, open } = await forwarding(t);
  const peers = [await Peer.open(t), await Peer.open(t)];
  for (const [index, peer] of peers.entries()) {
    for (const word of ['one', 'two', 'three']) peer.send(`${word} ${index}`, LISTEN);
  }
  for (const [index, peer] of peers.entries()) {
    await peer.hears(`one ${index}`, `two ${index}`, `three ${index}`);
    t.equal(peer.received.length, 3, 'the first ones waited for the association');
  }
  t.equal(open(), 2);
  const requests = nodes.flatMap(({ requests }) => requests);
  t.strictSame(requests, [REQUEST, REQUEST]);
});

t.test('the view tells the forward, and how many use it', async (t) => {
  const { client } = await forwarding(t);
  const peer = await Peer.open(t);
  peer.send('ping', LISTEN);
  await peer.hears('ping');
  t.match(client.views.cluster?.(), {
    forwards: [{ forward: 'udp:127.0.0.1:22429=target.example:53', flows: 1 }],
    udp: { associations: 1, overTls: 0, blocked: false },
  });
});

t.test('a sender who says and hears nothing for the idle time is over', async (t) => {
  const { nodes, open } = await forwarding(t, { udp: { idleMs: 150 } });
  const peer = await Peer.open(t);
  peer.send('ping', LISTEN);
  await peer.hears('ping');
  await until(() => open() === 0);
  await until(() => nodes.flatMap(({ udp }) => udp.endedByClient).length === 1);
  peer.send('again', LISTEN);
  await peer.hears('again');
  t.equal(nodes.flatMap(({ requests }) => requests).length, 2, 'another association');
});

t.test('an association that ends at the nodes begins anew with the next datagram', async (t) => {
  const { nodes, open } = await forwarding(t);
  const peer = await Peer.open(t);
  peer.send('ping', LISTEN);
  await peer.hears('ping');
  const [id = ''] = nodes[0]?.options.cluster.records.keys() ?? [];
  for (const { udp } of nodes) udp.delete(id);
  await until(() => open() === 0);
  peer.send('pong', LISTEN);
  await peer.hears('pong');
  t.equal(open(), 1);
});

t.test('a target that the nodes refuse is said once, and counted', async (t) => {
  const { nodes, refused, told, open } = await forwarding(t);
  for (const { udp } of nodes) udp.refusal = 2;
  const peer = await Peer.open(t);
  for (const word of ['one', 'two', 'three']) peer.send(word, LISTEN);
  await until(() => refused('target') === 3);
  const requests = () => nodes.flatMap(({ requests }) => requests).length;
  t.equal(requests(), 1, 'the nodes are not asked for each datagram');
  await repeated(peer, () => requests() === 2);
  t.strictSame(
    told('forward-refused').map(({ level, message }) => [level, message]),
    [
      [
        'warn',
        "udp:127.0.0.1:22429=target.example:53 leads nowhere: the nodes' rules do not allow the target",
      ],
    ],
  );
  for (const { udp } of nodes) udp.refusal = undefined;
  await repeated(peer, () => open() === 1);
  peer.send('at last', LISTEN);
  await peer.hears('at last');
  t.equal(told('forward-granted').length, 1);
});

t.test('only so many datagrams wait for an association', async (t) => {
  const { nodes, refused } = await forwarding(t);
  for (const node of nodes) node.behaviour = 'hold';
  const peer = await Peer.open(t);
  for (let count = 0; count < 70; count += 1) peer.send(`word ${count}`, LISTEN);
  await until(() => refused('waiting') === 6);
  t.pass('the oldest made room');
});

t.test('no more associations at once than the limit', async (t) => {
  const { refused, open } = await forwarding(t, { udp: { associations: 1 } });
  const [first, second] = [await Peer.open(t), await Peer.open(t)];
  first.send('ping', LISTEN);
  await first.hears('ping');
  second.send('ping', LISTEN);
  await until(() => refused('excess') === 1);
  t.strictSame([open(), second.received], [1, []]);
});

t.test('what a node says without a SOCKS header is counted', async (t) => {
  const { nodes, refused } = await forwarding(t);
  const peer = await Peer.open(t);
  peer.send('ping', LISTEN);
  await peer.hears('ping');
  const [id = ''] = nodes[0]?.options.cluster.records.keys() ?? [];
  const fragment = Buffer.from(HEADER);
  fragment[2] = 1;
  for (const { udp } of nodes) {
    udp.push(id, fragment);
    udp.push(id, Buffer.concat([HEADER, Buffer.from('from a target')]));
  }
  await peer.hears('from a target');
  t.equal(refused('no header'), 1);
});

t.test('a client that drains ends what has no connection', async (t) => {
  const { client, nodes, open } = await forwarding(t);
  const peer = await Peer.open(t);
  peer.send('ping', LISTEN);
  await peer.hears('ping');
  await client.drain(5_000);
  t.equal(open(), 0);
  t.equal(nodes.flatMap(({ udp }) => udp.endedByClient).length, 1);
});

t.test('a port that is taken is told', async (t) => {
  await forwarding(t);
  await t.rejects(startClient(t, PORTS, { forwards: [FORWARD] }), {
    name: 'ClientError',
    code: 'listen',
    message: 'cannot listen on UDP 127.0.0.1:22429: is it taken? Check `forwards` and --forward',
  });
});
