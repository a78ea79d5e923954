/** BIND (RFC 1928 §6) through the client's port: two replies, one tunnel. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { application, metric, startClient, startNodes, startTarget, take, until } from './scene.ts';

const PORTS = [22_310, 22_311];
const BIND = Buffer.from([5, 2, 0, 1, 127, 0, 0, 1, 0, 21]);
const FIRST = Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 9]);

/** A client whose node has given the first reply to an application's BIND. */
async function waiting(t: Test, limits = {}) {
  const nodes = await startNodes(t, PORTS);
  for (const node of nodes) node.behaviour = 'bind';
  const scene = await startClient(t, PORTS, { limits });
  const socket = await application(t, scene.port);
  socket.write(Buffer.concat([Buffer.from([5, 1, 0]), BIND]));
  t.same(await take(socket, 2), Buffer.from([5, 0]));
  t.same(await take(socket, 10), FIRST, 'as the node sent it');
  const node = nodes.find(({ binds }) => binds.length > 0);
  const tunnel = node?.binds[0];
  if (!node || !tunnel) throw new Error('no node was asked');
  t.same(node.requests, [BIND]);
  const outcome = (name: string) =>
    metric(scene.client, 'client_requests_total', { outcome: name });
  return { ...scene, socket, node, tunnel, outcome };
}

/** A peer's connection, as a node has it, and the peer's own end. */
async function peers(t: Test): Promise<[Socket, Socket]> {
  const held = Promise.withResolvers<Socket>();
  const port = await startTarget(t, (socket) => held.resolve(socket));
  const own = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  own.on('error', () => undefined);
  t.teardown(() => void own.destroy());
  return [await held.promise, own];
}

t.test('both replies are passed on, and then a tunnel', async (t) => {
  const { socket, node, tunnel, client, outcome } = await waiting(t);
  t.strictSame([outcome('connected'), metric(client, 'client_tunnels')], [0, 0]);
  const [held, peer] = await peers(t);
  node.meet(tunnel, held);
  t.same(await take(socket, 10), FIRST);
  t.strictSame([outcome('connected'), metric(client, 'client_tunnels')], [1, 1]);
  peer.end('220 ready');
  t.equal(String(await take(socket, 9)), '220 ready');
  socket.end('the other half');
  const [bytes] = await once(peer, 'data');
  t.equal(String(bytes), 'the other half');
  await until(() => metric(client, 'client_tunnels') === 0);
});

t.test('what an application sends ahead of its peer waits for it', async (t) => {
  const { socket, node, tunnel } = await waiting(t);
  socket.end('sent ahead');
  const [held, peer] = await peers(t);
  node.meet(tunnel, held);
  t.same(await take(socket, 10), FIRST);
  const [bytes] = await once(peer, 'data');
  t.equal(String(bytes), 'sent ahead');
  peer.end();
});

t.test('a second reply that refuses is the last', async (t) => {
  const { socket, node, tunnel, outcome } = await waiting(t);
  node.meet(tunnel, 4);
  t.equal((await take(socket, 10))?.[1], 4);
  t.equal(await take(socket, 1), undefined);
  t.equal(outcome('refused'), 1);
});

t.test('a node that is lost while it waits is a failure, and no other is asked', async (t) => {
  const { socket, node, outcome, client } = await waiting(t);
  await node.kill('reset');
  t.equal((await take(socket, 10))?.[1], 1);
  t.equal(await take(socket, 1), undefined);
  t.strictSame([outcome('failed'), metric(client, 'client_retries_total')], [1, 0]);
});

t.test('a node that gives the wait up without a word is a failure', async (t) => {
  const { socket, tunnel, outcome } = await waiting(t);
  tunnel.abort();
  t.equal((await take(socket, 10))?.[1], 1);
  t.equal(outcome('failed'), 1);
});

t.test('a second reply that makes no sense is a failure', async (t) => {
  const { socket, tunnel, outcome } = await waiting(t);
  tunnel.answer(Buffer.from([5, 0, 0]));
  t.equal((await take(socket, 10))?.[1], 1);
  t.equal((await tunnel.closed).reason, 'reset');
  t.equal(outcome('failed'), 1);
});

t.test('an application that leaves while it waits takes the node’s port along', async (t) => {
  for (const how of ['end', 'reset'] as const) {
    await t.test(how, async (t) => {
      const { socket, tunnel, outcome } = await waiting(t);
      if (how === 'end') socket.end();
      else socket.resetAndDestroy();
      t.equal((await tunnel.closed).reason, 'reset', 'the node is told');
      await until(() => outcome('abandoned') === 1);
    });
  }
});

t.test('a node that says nothing any more is not waited for for ever', async (t) => {
  const { socket, tunnel, outcome } = await waiting(t, { idleMs: 50 });
  t.equal((await take(socket, 10))?.[1], 4);
  t.equal((await tunnel.closed).reason, 'reset');
  t.equal(outcome('timeout'), 1);
});

t.test('a client that stops ends the waits', async (t) => {
  const { client, tunnel, outcome } = await waiting(t);
  await client.stop();
  t.equal((await tunnel.closed).reason, 'reset');
  t.equal(outcome('abandoned'), 1);
});
