/** UDP ASSOCIATE (RFC 1928 §7) through the client's port, to nodes that run the real machine. */
import t, { type Test } from 'tap';
import { application, metric, startClient, startNodes, take, until } from './scene.ts';
import type { ClientChanges } from './scene.ts';
import { associate, HEADER, Peer } from './udp-scene.ts';

const PORTS = [22_410, 22_411];

/** An application with an association, and its socket, from which it has said nothing yet. */
async function associated(t: Test, changes: ClientChanges = {}) {
  const nodes = await startNodes(t, PORTS);
  const scene = await startClient(t, PORTS, changes);
  const { code, at, socket } = await associate(t, scene.port);
  t.equal(code, 0);
  const peer = await Peer.open(t, HEADER.length);
  const payloads = () => nodes.flatMap(({ udp }) => udp.overUdp);
  const refused = (reason: string) =>
    metric(scene.client, 'client_datagrams_refused_total', { reason });
  return { ...scene, nodes, socket, at, peer, payloads, refused };
}

t.test('datagrams of an application come to a node, and back', async (t) => {
  const { client, at, peer, payloads } = await associated(t);
  peer.sendWithHeader('ping', at);
  await peer.hears('ping');
  t.strictSame(payloads(), ['ping']);
  for (const direction of ['to_cluster', 'from_cluster']) {
    t.equal(metric(client, 'client_datagrams_total', { direction, way: 'udp' }), 1);
  }
});

t.test('fragments go to the node whole: it puts them together', async (t) => {
  const { at, peer, payloads } = await associated(t);
  const fragment = Buffer.concat([HEADER, Buffer.from('first')]);
  fragment[2] = 1;
  peer.send(fragment, at);
  await peer.hears('first');
  t.strictSame(payloads(), ['first']);
});

t.test('only who used the port first may use it', async (t) => {
  const { at, peer, payloads, refused } = await associated(t);
  const sameHost = await Peer.open(t);
  const otherHost = await Peer.open(t, 0, '127.0.0.9');
  otherHost.sendWithHeader('too early', at);
  await until(() => refused('foreign') === 1);
  peer.sendWithHeader('mine', at);
  await peer.hears('mine');
  sameHost.sendWithHeader('another port', at);
  await until(() => refused('foreign') === 2);
  peer.sendWithHeader('mine still', at);
  await peer.hears('mine still');
  t.strictSame(payloads(), ['mine', 'mine still']);
  t.strictSame(sameHost.received, []);
});

t.test('the port that an application names is the only one that it may use', async (t) => {
  await startNodes(t, PORTS);
  const { port, client } = await startClient(t, PORTS);
  const peer = await Peer.open(t, HEADER.length);
  const { at } = await associate(t, port, peer.endpoint.port);
  const other = await Peer.open(t);
  other.sendWithHeader('not me', at);
  await until(() => metric(client, 'client_datagrams_refused_total', { reason: 'foreign' }) === 1);
  peer.sendWithHeader('me', at);
  await peer.hears('me');
  t.strictSame(other.received, []);
});

t.test('what has no SOCKS header is counted, and is not the first word', async (t) => {
  const { at, peer, payloads, refused } = await associated(t);
  const noise = await Peer.open(t);
  noise.send('no header', at);
  noise.send('', at);
  await until(() => refused('malformed') === 2);
  peer.sendWithHeader('ping', at);
  await peer.hears('ping');
  t.strictSame(payloads(), ['ping']);
});

t.test('the association ends with the connection that it was asked for on', async (t) => {
  for (const how of ['end', 'reset'] as const) {
    await t.test(how, async (t) => {
      const { client, nodes, socket, at, peer } = await associated(t);
      peer.sendWithHeader('ping', at);
      await peer.hears('ping');
      if (how === 'end') socket.end();
      else socket.resetAndDestroy();
      await until(() => nodes.some(({ udp }) => udp.endedByClient.length === 1));
      await until(() => metric(client, 'client_associations') === 0);
      t.equal(metric(client, 'client_associations_ended_total', { reason: 'closed' }), 1);
      t.equal(nodes[0]?.options.cluster.records.size, 0, 'the cluster has forgotten it');
    });
  }
});

t.test('a connection ends when its association is deleted at the nodes', async (t) => {
  const { client, nodes, socket, at, peer } = await associated(t);
  peer.sendWithHeader('ping', at);
  await peer.hears('ping');
  const [id = ''] = nodes[0]?.options.cluster.records.keys() ?? [];
  for (const { udp } of nodes) udp.delete(id);
  t.equal(await take(socket, 1), undefined);
  t.equal(metric(client, 'client_associations_ended_total', { reason: 'deleted' }), 1);
  t.equal(metric(client, 'client_associations'), 0);
});

t.test('a refusal of the node is passed on', async (t) => {
  const nodes = await startNodes(t, PORTS);
  for (const { udp } of nodes) udp.refusal = 7;
  const { port, client } = await startClient(t, PORTS);
  t.equal((await associate(t, port)).code, 7);
  t.equal(metric(client, 'client_requests_total', { outcome: 'refused' }), 1);
});

t.test('no node at all is a failure', async (t) => {
  const { port, client } = await startClient(t, PORTS, { limits: { requestMs: 300 } });
  t.equal((await associate(t, port)).code, 1);
  t.equal(metric(client, 'client_requests_total', { outcome: 'failed' }), 1);
});

t.test('no more associations at once than the limit', async (t) => {
  const { port, client, socket } = await associated(t, { udp: { associations: 1 } });
  t.equal((await associate(t, port)).code, 1);
  t.equal(metric(client, 'client_datagrams_refused_total', { reason: 'excess' }), 1);
  socket.destroy();
  await until(() => metric(client, 'client_associations') === 0);
  t.equal((await associate(t, port)).code, 0);
});

t.test('a datagram that is too large for the path is refused, and said once', async (t) => {
  const { at, peer, log, refused, payloads } = await associated(t);
  for (const fill of ['a', 'b']) peer.sendWithHeader(fill.repeat(1_400), at);
  await until(() => refused('too large') === 2);
  peer.sendWithHeader('c'.repeat(1_300), at);
  await peer.hears('c'.repeat(1_300));
  t.equal(payloads().length, 1);
  t.equal(log.filter(({ fields }) => 'mostBytes' in fields).length, 1);
});

t.test('what comes to the client and is no record of secure UDP is counted', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const origins: { address: string; port: number }[] = [];
  for (const { udp } of nodes) udp.whenReceived = (from) => origins.push(from);
  const { port, client } = await startClient(t, PORTS);
  const { at } = await associate(t, port);
  const peer = await Peer.open(t, HEADER.length);
  peer.sendWithHeader('ping', at);
  await peer.hears('ping');
  const [to] = origins;
  if (!to) throw new Error('nothing came to a node');
  nodes[0]?.udp.sendRaw(Buffer.concat([HEADER, Buffer.from('in clear')]), to);
  await until(
    () => metric(client, 'client_datagrams_refused_total', { reason: 'no record' }) === 1,
  );
  nodes[0]?.udp.sendRaw(Buffer.alloc(60, 0x97), to);
  await until(() => metric(client, 'client_records_dropped_total') === 1);
  t.strictSame(peer.received, ['ping']);
});

t.test('a client that stops ends its associations at the nodes', async (t) => {
  const { client, nodes, at, peer, socket } = await associated(t);
  peer.sendWithHeader('ping', at);
  await peer.hears('ping');
  await client.stop();
  t.equal(nodes.flatMap(({ udp }) => udp.endedByClient).length, 1);
  t.equal(await take(socket, 1), undefined);
});

t.test('an application that leaves while it waits leaves nothing behind', async (t) => {
  const nodes = await startNodes(t, PORTS);
  for (const node of nodes) node.behaviour = 'hold';
  const { port, client } = await startClient(t, PORTS);
  const socket = await application(t, port);
  socket.write(Buffer.from([5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]));
  await until(() => nodes.some(({ requests }) => requests.length > 0));
  socket.resetAndDestroy();
  socket.resume();
  await until(() => metric(client, 'client_requests_total', { outcome: 'abandoned' }) === 1);
  t.equal(metric(client, 'client_associations'), 0);
});
