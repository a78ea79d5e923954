import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { application, metric, startClient, startEcho, startNodes, take, until } from './scene.ts';

const PORTS = [22_440, 22_441];
const LISTEN = { address: '127.0.0.1', port: 22_449 };

async function forwarding(t: Test, port: number) {
  const nodes = await startNodes(t, PORTS);
  const target = { host: 'target.example', port };
  const scene = await startClient(t, PORTS, {
    forwards: [{ protocol: 'tcp', listen: LISTEN, target }],
  });
  const outcome = (name: string) =>
    metric(scene.client, 'client_requests_total', { outcome: name });
  return { ...scene, nodes, outcome };
}

/** Also when it breaks. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.resume().once('close', () => resolve()));
}

t.test('each connection leads to the target', async (t) => {
  const target = await startEcho(t);
  const { client, outcome } = await forwarding(t, target);
  const sockets = [await application(t, LISTEN.port), await application(t, LISTEN.port)];
  for (const [index, socket] of sockets.entries()) {
    socket.write(`word ${index}`);
    t.equal(String(await take(socket, 6)), `word ${index}`);
  }
  t.strictSame([outcome('connected'), metric(client, 'client_tunnels')], [2, 2]);
  t.match(client.views.cluster?.(), {
    forwards: [{ forward: `tcp:127.0.0.1:22449=target.example:${target}`, flows: 2 }],
  });
  for (const socket of sockets) socket.end();
  await until(() => metric(client, 'client_tunnels') === 0);
  t.equal(metric(client, 'client_bytes_total', { direction: 'to_cluster' }), 12);
});

t.test('a target that is refused resets the connection, and is said once', async (t) => {
  const { nodes, outcome, log } = await forwarding(t, 80);
  for (const node of nodes) node.behaviour = 5;
  for (let count = 0; count < 2; count += 1) {
    const socket = await application(t, LISTEN.port);
    await closed(socket);
  }
  t.equal(outcome('refused'), 2);
  t.equal(log.filter(({ message }) => message.includes('the target refuses')).length, 1);
});

t.test('without a node the connection is reset', async (t) => {
  const { nodes, outcome } = await forwarding(t, 80);
  for (const node of nodes) await node.kill();
  const socket = await application(t, LISTEN.port);
  await closed(socket);
  t.equal(outcome('failed'), 1);
});
