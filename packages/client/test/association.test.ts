/** What an association does when nodes, or ways to them, are lost. */
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { associate, HEADER, Peer, servedBy } from './udp-scene.ts';
import { metric, settle, startClient, startNodes, take, until } from './scene.ts';
import type { ClientChanges } from './scene.ts';

const PORTS = [22_430, 22_431];

/** An application whose association has carried a datagram, and has its standby. */
async function served(t: Test, changes: ClientChanges = {}) {
  const nodes = await startNodes(t, PORTS);
  const scene = await startClient(t, PORTS, changes);
  await settle(scene);
  const { at, socket } = await associate(t, scene.port);
  const peer = await Peer.open(t, HEADER.length);
  peer.sendWithHeader('first', at);
  await peer.hears('first');
  const { client } = scene;
  const standbys = changes.udp?.standbys ?? 1;
  await until(() => metric(client, 'client_node_standbys') === standbys);
  const owner = servedBy(nodes, 'first');
  const other = nodes.find((node) => node !== owner);
  if (!owner || !other) throw new Error('no node got it');
  const moves = (reason: string) => metric(client, 'client_association_moves_total', { reason });
  const adoptions = () => metric(client, 'client_adoptions_total');
  return { ...scene, nodes, owner, other, socket, at, peer, moves, adoptions };
}

t.test('a node that is killed loses nothing, and its association goes on elsewhere', async (t) => {
  const { owner, other, peer, at, client, adoptions, socket } = await served(t);
  await owner.kill('reset');
  peer.sendWithHeader('second', at);
  await peer.hears('second');
  t.strictSame(other.udp.overUdp.slice(-1), ['second']);
  await until(() => adoptions() === 1);
  t.equal(other.udp.adoptions, 1, 'the control connection is there too');
  t.equal(metric(client, 'client_handshakes_total', { resumed: 'false' }), 1);
  socket.end();
  await until(() => other.udp.endedByClient.length === 1);
});

t.test('a killed node is left before the next payload', async (t) => {
  const { owner, client, moves } = await served(t);
  await owner.kill('reset');
  await until(() => moves('refused') === 1);
  t.equal(metric(client, 'client_datagrams_total', { direction: 'to_cluster' }), 1);
});

t.test('a killed node is noticed by its datagrams alone', async (t) => {
  const { owner, other, peer, at, moves, adoptions } = await served(t);
  owner.udp.kill();
  peer.sendWithHeader('second', at);
  await peer.hears('second');
  t.strictSame(other.udp.overUdp.slice(-1), ['second']);
  t.strictSame([moves('refused'), adoptions()], [1, 0], 'only UDP to the node is dead');
});

t.test('a node that stands still is left when it does not answer', async (t) => {
  const { owner, other, peer, at, moves } = await served(t);
  owner.freeze();
  peer.sendWithHeader('second', at);
  await peer.hears('second');
  t.strictSame(other.udp.overUdp.slice(-1), ['second']);
  t.equal(moves('silent'), 1);
});

t.test('a node that takes no more TLS is left, with all that it had', async (t) => {
  const { owner, other, peer, at, adoptions, moves } = await served(t);
  await owner.killTcp('reset');
  await until(() => adoptions() === 1 && moves('removed') === 1);
  peer.sendWithHeader('second', at);
  await peer.hears('second');
  t.strictSame(other.udp.overUdp.slice(-1), ['second']);
});

t.test('a broken control connection is made again, and datagrams do not notice', async (t) => {
  const { owner, peer, at, moves, adoptions, nodes } = await served(t);
  for (const { udp } of nodes) for (const { tunnel } of udp.controls) tunnel.abort();
  peer.sendWithHeader('second', at);
  await peer.hears('second');
  await until(() => adoptions() === 1);
  t.strictSame(owner.udp.overUdp, ['first', 'second']);
  t.equal(moves('removed') + moves('silent') + moves('refused'), 0);
  t.equal(nodes.flatMap(({ udp }) => [...udp.controls]).length, 1);
});

t.test('a node that drains is left in order', async (t) => {
  const { owner, other, peer, at, moves, adoptions, client } = await served(t);
  owner.udp.drain();
  await until(() => adoptions() === 1);
  peer.sendWithHeader('second', at);
  await peer.hears('second');
  t.strictSame(other.udp.overUdp.slice(-1), ['second']);
  t.equal(moves('left'), 1);
  t.strictSame(owner.udp.endedByClient, [], 'nothing is deleted');
  await until(() => owner.udp.controls.size === 0);
  t.equal(metric(client, 'client_associations'), 1);
});

t.test('an association that no node knows any more ends its connection', async (t) => {
  const { owner, other, socket, client, nodes } = await served(t);
  owner.options.cluster.records.clear();
  for (const { udp } of nodes) for (const { tunnel } of udp.controls) tunnel.abort();
  t.equal(await take(socket, 1), undefined);
  t.equal(metric(client, 'client_associations_ended_total', { reason: 'gone' }), 1);
  t.equal(other.udp.adoptions + owner.udp.adoptions, 0);
});

t.test('a node that has not heard of the association yet does not end it', async (t) => {
  const { owner, nodes, adoptions, peer, at } = await served(t);
  const { records } = owner.options.cluster;
  const known = [...records];
  records.clear();
  for (const { udp } of nodes) for (const { tunnel } of udp.controls) tunnel.abort();
  const asked = () => nodes.flatMap(({ requests }) => requests).filter(([, kind]) => kind === 0x84);
  await until(() => asked().length > 0);
  for (const [id, record] of known) records.set(id, record);
  await until(() => adoptions() === 1);
  peer.sendWithHeader('second', at);
  await peer.hears('second');
  t.equal(asked().length, 2);
});

t.test('without any node it lasts for its grace, and no longer', async (t) => {
  const nodes = await startNodes(t, PORTS);
  for (const { udp } of nodes) udp.graceMs = 200;
  const scene = await startClient(t, PORTS);
  const { socket } = await associate(t, scene.port);
  for (const node of nodes) await node.kill('reset');
  t.equal(await take(socket, 1), undefined);
  t.equal(metric(scene.client, 'client_associations_ended_total', { reason: 'grace' }), 1);
});

t.test('an adoption that fails is tried again', async (t) => {
  const { nodes, adoptions, peer, at } = await served(t);
  for (const { udp } of nodes) {
    udp.refusal = 1;
    for (const { tunnel } of udp.controls) tunnel.abort();
  }
  const asked = () => nodes.flatMap(({ requests }) => requests).filter(([, kind]) => kind === 0x84);
  await until(() => asked().length >= 2);
  t.equal(adoptions(), 0);
  for (const { udp } of nodes) udp.refusal = undefined;
  await until(() => adoptions() === 1);
  peer.sendWithHeader('second', at);
  await peer.hears('second');
});

t.test('where UDP gets blocked, datagrams go over TLS meanwhile, and none is lost', async (t) => {
  const { nodes, peer, at, client, log } = await served(t);
  for (const { udp } of nodes) udp.silent = true;
  const overTls = () => metric(client, 'client_associations_over_tls');
  let lost = 0;
  for (; overTls() === 0; lost += 1) {
    peer.sendWithHeader(`lost ${lost}`, at);
    await delay(50);
  }
  t.equal(metric(client, 'client_udp_blocked'), 1);
  peer.sendWithHeader('over TLS', at);
  await peer.hears('over TLS');
  const overTlsAtNodes = nodes.flatMap(({ udp }) => udp.overTls);
  t.ok(lost > 40, `${lost} in the seconds before that`);
  t.strictSame(
    overTlsAtNodes.slice(0, -1),
    Array.from({ length: lost }, (_, n) => `lost ${n}`),
  );
  t.ok(nodes.some(({ udp }) => udp.overTls.includes('over TLS')));
  for (const { udp } of nodes) udp.silent = false;
  await until(() => overTls() === 0);
  peer.sendWithHeader('over UDP', at);
  await peer.hears('over UDP');
  t.ok(servedBy(nodes, 'over UDP'));
  t.equal(metric(client, 'client_udp_blocked'), 0);
  const told = log.flatMap(({ fields }) => ('event' in fields ? [fields.event] : []));
  t.equal(told.filter((event) => event === 'udp-blocked').length, 1);
  t.equal(told.filter((event) => event === 'udp-reached').length, 1);
});

t.test('where UDP is blocked, the next control connection takes what waited', async (t) => {
  const nodes = await startNodes(t, PORTS);
  for (const { udp } of nodes) udp.silent = true;
  const { port } = await startClient(t, PORTS);
  const { at } = await associate(t, port);
  for (const { udp } of nodes) {
    udp.refusal = 1;
    for (const { tunnel } of udp.controls) tunnel.abort();
  }
  const peer = await Peer.open(t, HEADER.length);
  peer.sendWithHeader('first', at);
  const asked = () => nodes.flatMap(({ requests }) => requests).filter(([, kind]) => kind === 0x84);
  await until(() => asked().length >= 4); // after 100 + 200 + 400 ms
  for (const { udp } of nodes) udp.refusal = undefined;
  await peer.hears('first');
  t.strictSame(
    nodes.flatMap(({ udp }) => udp.overTls),
    ['first'],
  );
});

t.test('where UDP was blocked from the start, the first payload is not lost', async (t) => {
  const nodes = await startNodes(t, PORTS);
  for (const { udp } of nodes) udp.silent = true;
  const { client, port } = await startClient(t, PORTS);
  const { at } = await associate(t, port);
  const peer = await Peer.open(t, HEADER.length);
  peer.sendWithHeader('first', at);
  await peer.hears('first');
  const datagrams = (way: string) =>
    metric(client, 'client_datagrams_total', { direction: 'to_cluster', way });
  t.strictSame([datagrams('tls'), datagrams('udp')], [1, 0]);
  t.equal(metric(client, 'client_udp_blocked'), 0, 'that is not certain yet');
  await until(() => metric(client, 'client_udp_blocked') === 1);
});

t.test('the next association knows that UDP is blocked', async (t) => {
  const { nodes, peer, at, client, port } = await served(t);
  for (const { udp } of nodes) udp.silent = true;
  peer.sendWithHeader('lost', at);
  await until(() => metric(client, 'client_udp_blocked') === 1);
  const second = await associate(t, port);
  const other = await Peer.open(t, HEADER.length);
  other.sendWithHeader('at once', second.at);
  await other.hears('at once');
  t.ok(nodes.some(({ udp }) => udp.overTls.includes('at once')));
});

t.test('without the fallback nothing goes over TLS', async (t) => {
  const { nodes, peer, at, client } = await served(t, { udp: { fallback: false } });
  for (const { udp } of nodes) udp.silent = true;
  peer.sendWithHeader('lost', at);
  await until(() => metric(client, 'client_udp_blocked') === 1);
  t.equal(metric(client, 'client_associations_over_tls'), 0);
  for (const { udp } of nodes) udp.silent = false;
  while (!peer.received.includes('again')) {
    peer.sendWithHeader('again', at);
    await delay(50);
  }
  t.strictSame(
    nodes.flatMap(({ udp }) => udp.overTls),
    [],
  );
});

t.test('without a standby a move costs a round trip, and still loses nothing', async (t) => {
  const { owner, other, peer, at } = await served(t, { udp: { standbys: 0 } });
  await owner.kill('reset');
  peer.sendWithHeader('second', at);
  await peer.hears('second');
  t.strictSame(other.udp.overUdp.slice(-1), ['second']);
});
