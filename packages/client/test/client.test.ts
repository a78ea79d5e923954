import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Client } from '../src/index.ts';
import {
  application,
  ask,
  connectRequest,
  echo,
  metric,
  settle,
  startClient,
  startEcho,
  startNodes,
  startTarget,
  take,
  until,
} from './scene.ts';

/** The part of socksv5's old client that is used here; it has no types. */
interface IndependentClient {
  readonly Client: new (options: object) => NodeJS.EventEmitter & {
    connect(options: object): void;
  };
  readonly auth: { None(): object };
}

const socksv5 = createRequire(import.meta.url)('socksv5') as IndependentClient;
const PORTS = [22110, 22111];
const LOCALHOST_IPV6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/** Also when it breaks. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.once('close', () => resolve()));
}

t.test('another SOCKS5 client fetches a page through the port', async (t) => {
  await startNodes(t, PORTS);
  const server = createServer((_request, response) => response.end('the page'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const { port } = await startClient(t, PORTS);
  const peer = new socksv5.Client({
    proxyHost: '127.0.0.1',
    proxyPort: port,
    localDNS: false,
    auths: [socksv5.auth.None()],
  });
  const target = (server.address() as AddressInfo).port;
  peer.connect({ host: 'page.example', port: target, proxyHost: '127.0.0.1' });
  const [socket] = (await once(peer, 'connect')) as [Socket];
  socket.write('GET / HTTP/1.1\r\nHost: page.example\r\nConnection: close\r\n\r\n');
  let answer = '';
  for await (const bytes of socket) answer += String(bytes);
  t.match(answer, /200 OK/);
  t.match(answer, /the page/);
});

t.test('addresses and names reach the node as the application wrote them', async (t) => {
  const [node] = await startNodes(t, PORTS.slice(0, 1));
  const scene = await startClient(t, PORTS.slice(0, 1));
  const target = await startEcho(t);
  const requests = [
    connectRequest(target),
    connectRequest(target, 'xn--bcher-kva.example'),
    connectRequest(target, 'B\xfccher.Example.'),
  ];
  for (const request of requests) {
    t.equal(await ask(await application(t, scene.port), request), 0);
  }
  const ipv6 = await startTarget(t, (socket) => socket.pipe(socket), '::1');
  const request = connectRequest(ipv6, LOCALHOST_IPV6);
  t.equal(await ask(await application(t, scene.port), request), 0);
  t.same(node?.requests, [...requests, request]);
});

t.test('a greeting and request are understood byte by byte, and all at once', async (t) => {
  await startNodes(t, PORTS);
  const { port } = await startClient(t, PORTS);
  const target = await startEcho(t);
  const slow = await application(t, port);
  for (const byte of [5, 2, 0, 2, ...connectRequest(target)]) {
    slow.write(Buffer.from([byte]));
    await new Promise((next) => setImmediate(next));
  }
  t.same(await take(slow, 2), Buffer.from([5, 0]));
  t.equal((await take(slow, 10))?.[1], 0);
  const hasty = await application(t, port);
  hasty.end(Buffer.concat([Buffer.from([5, 1, 0]), connectRequest(target), Buffer.from('early')]));
  t.same(await take(hasty, 2), Buffer.from([5, 0]));
  t.equal((await take(hasty, 10))?.[1], 0);
  t.equal((await take(hasty, 5))?.toString(), 'early');
});

t.test('what the destination says at once comes after the reply', async (t) => {
  const nodes = await startNodes(t, PORTS);
  for (const node of nodes) node.early = Buffer.from('banner');
  const { port } = await startClient(t, PORTS);
  const socket = await application(t, port);
  t.equal(await ask(socket, connectRequest(await startEcho(t))), 0);
  t.equal((await take(socket, 6))?.toString(), 'banner');
});

t.test('a destination that ends at once ends cleanly, after the reply', async (t) => {
  const nodes = await startNodes(t, PORTS);
  for (const node of nodes) node.behaviour = 'hang-up';
  const { port } = await startClient(t, PORTS);
  for (let round = 0; round < 10; round += 1) {
    const socket = await application(t, port);
    t.equal(await ask(socket, connectRequest(80)), 0);
    t.equal(await take(socket, 1), undefined);
    t.ok(socket.readableEnded);
  }
});

t.test('one connection serves request after request, refused ones among them', async (t) => {
  const [node] = await startNodes(t, PORTS.slice(0, 1));
  const scene = await startClient(t, PORTS.slice(0, 1));
  await settle(scene);
  const target = await startTarget(t, (socket) => void socket.end('hello'));
  for (let round = 0; round < 20; round += 1) {
    const socket = await application(t, scene.port);
    t.equal(await ask(socket, connectRequest(target)), 0);
    t.equal((await take(socket, 5))?.toString(), 'hello');
    socket.end();
    await until(() => metric(scene.client, 'client_tunnels') === 0);
    t.equal(await ask(await application(t, scene.port), connectRequest(9)), 5, 'refused');
  }
  const handshakes = (node?.fullHandshakes ?? 0) + (node?.resumedHandshakes ?? 0);
  t.ok(handshakes < 10, `${handshakes} handshakes for 40 requests`);
});

t.test('each direction ends by itself', async (t) => {
  await startNodes(t, PORTS);
  const { port, client } = await startClient(t, PORTS);
  const target = await startTarget(t, (socket) => {
    let heard = '';
    socket.on('data', (bytes) => (heard += String(bytes)));
    socket.on('end', () => socket.end(`you said ${heard}`));
  });
  const socket = await application(t, port);
  t.equal(await ask(socket, connectRequest(target)), 0);
  socket.end('goodbye');
  t.equal((await take(socket, 16))?.toString(), 'you said goodbye');
  await until(() => metric(client, 'client_tunnels') === 0);
  t.equal(metric(client, 'client_bytes_total', { direction: 'to_cluster' }), 7);
  t.equal(metric(client, 'client_bytes_total', { direction: 'from_cluster' }), 16);
});

t.test('an application that does not read stops the destination, and loses nothing', async (t) => {
  await startNodes(t, PORTS);
  const { port, client } = await startClient(t, PORTS);
  const bytes = randomBytes(64 << 20);
  const target = await startTarget(t, (socket) => void socket.end(bytes));
  const socket = await application(t, port);
  t.equal(await ask(socket, connectRequest(target)), 0);
  // The kernel's buffers on the way fill; then nothing moves any more.
  const moved = () => metric(client, 'client_bytes_total', { direction: 'from_cluster' });
  for (let before = -1; before !== moved() || before === 0; await delay(50)) before = moved();
  t.ok(moved() < bytes.length, 'the rest waits at the destination');
  const received = createHash('sha256');
  for await (const chunk of socket) received.update(chunk as Buffer);
  t.equal(received.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
});

t.test('what is no request of RFC 1928 is refused with its own reply', async (t) => {
  const [node] = await startNodes(t, PORTS.slice(0, 1));
  const { port, client } = await startClient(t, PORTS.slice(0, 1));
  const command = (code: number) => Buffer.from([5, code, 0, 1, 127, 0, 0, 1, 0, 80]);
  t.equal(await ask(await application(t, port), command(9)), 7, 'no command at all');
  const address = Buffer.from([5, 1, 0, 9, 127, 0, 0, 1, 0, 80]);
  t.equal(await ask(await application(t, port), address), 8);
  const methods = await application(t, port);
  methods.write(Buffer.from([5, 1, 2]));
  t.same(await take(methods, 2), Buffer.from([5, 0xff]));
  const http = await application(t, port);
  http.write('GET / HTTP/1.1\r\n\r\n');
  t.equal(await take(http, 1), undefined);
  t.equal(node?.requests.length, 0);
  t.equal(metric(client, 'client_requests_total', { outcome: 'unsupported' }), 1);
  t.equal(metric(client, 'client_requests_total', { outcome: 'malformed' }), 3);
});

t.test('a failure that a node reports is passed on and asked of nobody else', async (t) => {
  const nodes = await startNodes(t, PORTS);
  for (const node of nodes) node.behaviour = 2;
  const { port, client } = await startClient(t, PORTS);
  t.equal(await ask(await application(t, port), connectRequest(80)), 2);
  t.equal(nodes[0]?.requests.length, 1);
  t.equal(nodes[1]?.requests.length, 0);
  t.equal(metric(client, 'client_requests_total', { outcome: 'refused' }), 1);
});

t.test('a broken stream is broken on the other side too, never ended', async (t) => {
  const [node] = await startNodes(t, PORTS.slice(0, 1));
  const { port } = await startClient(t, PORTS.slice(0, 1));
  const targets: Socket[] = [];
  const target = await startTarget(t, (socket) => {
    targets.push(socket);
    socket.write('half of a');
  });
  const open = async () => {
    const socket = await application(t, port);
    t.equal(await ask(socket, connectRequest(target)), 0);
    t.equal((await take(socket, 9))?.toString(), 'half of a');
    socket.resume();
    return socket;
  };
  const left = await open();
  const broken = closed(targets[0] as Socket);
  left.resetAndDestroy();
  await broken;
  t.notOk(targets[0]?.readableEnded, 'the destination sees that the application broke off');
  const cut = await open();
  let ended = false;
  cut.on('end', () => (ended = true));
  const gone = closed(cut);
  await node?.kill('end');
  await gone;
  t.notOk(ended, 'a killed node leaves no stream that looks complete');
});

t.test('an application that says nothing, and a tunnel without traffic, are closed', async (t) => {
  await startNodes(t, PORTS);
  const { port, client } = await startClient(t, PORTS, { limits: { greetingMs: 50, idleMs: 50 } });
  const silent = await application(t, port);
  t.equal(await take(silent, 1), undefined);
  const half = await application(t, port);
  half.write(Buffer.from([5, 1, 0]));
  t.same(await take(half, 2), Buffer.from([5, 0]));
  t.equal(await take(half, 1), undefined, 'a greeting without a request');
  const outcome = (outcome: string) => metric(client, 'client_requests_total', { outcome });
  await until(() => outcome('greeting-timeout') === 2);
  t.equal(outcome('abandoned'), 0);
  const gone = await application(t, port);
  gone.end(Buffer.from([5, 1, 0]));
  await until(() => outcome('abandoned') === 1);
  t.equal(outcome('greeting-timeout'), 2, 'it left by itself');
  const idle = await application(t, port);
  t.equal(await ask(idle, connectRequest(await startEcho(t))), 0);
  t.equal(await take(idle, 1), undefined);
});

t.test('no more applications are served than the limit allows', async (t) => {
  await startNodes(t, PORTS);
  const { port, client } = await startClient(t, PORTS, { limits: { connections: 2 } });
  const target = await startEcho(t);
  const held = [await application(t, port), await application(t, port)];
  for (const socket of held) t.equal(await ask(socket, connectRequest(target)), 0);
  const third = await application(t, port);
  t.equal(await take(third, 1), undefined);
  t.equal(metric(client, 'client_requests_total', { outcome: 'excess' }), 1);
  held[0]?.destroy();
  await until(() => metric(client, 'client_tunnels') === 1);
  t.equal(await echo(t, port, target, 'again'), 'again');
});

t.test('a drain lets tunnels end and takes no new ones', async (t) => {
  await startNodes(t, PORTS);
  const { port, client } = await startClient(t, PORTS);
  const socket = await application(t, port);
  t.equal(await ask(socket, connectRequest(await startEcho(t))), 0);
  const drained = client.drain(60_000);
  await t.rejects(application(t, port), { code: 'ECONNREFUSED' });
  socket.end('last words');
  t.equal((await take(socket, 10))?.toString(), 'last words');
  await drained;
});

t.test('a drain ends when its time is up', async (t) => {
  await startNodes(t, PORTS);
  const { port, client } = await startClient(t, PORTS);
  t.equal(await ask(await application(t, port), connectRequest(await startEcho(t))), 0);
  await client.drain(20);
  t.equal(metric(client, 'client_tunnels'), 1);
});

t.test('a stopped client holds no socket, neither here nor at a node', async (t) => {
  const nodes = await startNodes(t, PORTS);
  const scene = await startClient(t, PORTS);
  await settle(scene);
  const tunnel = await application(t, scene.port);
  t.equal(await ask(tunnel, connectRequest(await startEcho(t))), 0);
  const waiting = await application(t, scene.port);
  for (const node of nodes) node.behaviour = 'hold';
  waiting.write(Buffer.concat([Buffer.from([5, 1, 0]), connectRequest(80)]));
  await until(() => nodes.some(({ requests }) => requests.length === 2));
  await scene.client.stop();
  await until(() => nodes.every(({ open }) => open === 0));
  t.equal(metric(scene.client, 'client_warm_connections'), 0);
  const [left, right] = [await take(tunnel, 1), (await take(waiting, 3))?.length];
  t.same([left, right], [undefined, undefined]);
  await t.rejects(application(t, scene.port), { code: 'ECONNREFUSED' });
  await scene.client.stop();
});

t.test('options that cannot work are refused with what is wrong', async (t) => {
  const { client, port } = await startClient(t, PORTS);
  t.ok(client instanceof Client);
  const taken = { listen: { address: '127.0.0.1', port } };
  await t.rejects(startClient(t, PORTS, taken), { code: 'listen' });
  await t.rejects(startClient(t, PORTS, { ca: 'no PEM' }), { code: 'configuration' });
  await t.rejects(startClient(t, []), { code: 'configuration' });
  const long = { name: 'demo', password: 'x'.repeat(256) };
  await t.rejects(startClient(t, PORTS, { user: long }), { code: 'configuration' });
});
