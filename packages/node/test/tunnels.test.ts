/** Tunnels of our client, one after another on one connection. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { Rule } from '../src/options.ts';
import { startNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings } from './settings.ts';
import { NONE, requestBytes, SocksClient } from './socks-client.ts';
import { until } from './until.ts';

const pki = new Pki();
const LOOPBACK: Rule = {
  action: 'allow',
  networks: ['127.0.0.0/8'],
  ...{ users: [], groups: [], commands: [], names: [], ports: [] },
};

async function destination(t: Test, handle: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    t.teardown(() => void socket.destroy());
    handle(socket.on('error', () => undefined));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function connected(t: Test) {
  const started = await startNode(t, new FakeCluster(), { ...settings(pki), rules: [LOOPBACK] });
  const client = await SocksClient.connect(pki, started.port);
  t.teardown(() => client.end());
  t.equal(await client.greet(NONE), NONE);
  const open = async (port: number) => (await client.request(1, '127.0.0.1', port)).code;
  return { ...started, client, open };
}

function echo(socket: Socket): void {
  socket.pipe(socket);
}

t.test('one connection serves request after request, refused ones among them', async (t) => {
  const { client, open, count } = await connected(t);
  const port = await destination(t, echo);
  for (const word of ['one', 'two', 'three']) {
    t.equal(await open(port), 0);
    client.chunk(word);
    t.equal(await client.nextChunk(), word);
    client.chunk();
    t.equal(await client.nextChunk(), '');
    t.equal((await client.request(1, '10.0.0.1', 80)).code, 2);
    t.equal((await client.request(2, '127.0.0.1', 80)).code, 7);
  }
  await until(() => count('tunnels_total', { end: 'ended' }) === 3);
  t.equal(count('tls_handshakes_total'), 1);
  t.equal(count('tunnel_bytes_total', { direction: 'to-client' }), 11);
  client.end();
  await until(() => count('connections') === 0);
  t.equal(count('socks_unfinished_total'), 0);
});

t.test('a destination that ends first is heard to the end, and may be answered', async (t) => {
  const { client, open } = await connected(t);
  const port = await destination(t, (socket) => {
    socket.end('bye');
    socket.once('data', (bytes: Buffer) => heard.push(String(bytes)));
  });
  const heard: string[] = [];
  for (let round = 1; round <= 2; round += 1) {
    t.equal(await open(port), 0);
    t.equal(await client.nextChunk(), 'bye');
    t.equal(await client.nextChunk(), '');
    client.chunk('late');
    client.chunk();
    await until(() => heard.length === round);
  }
});

t.test('a destination that is slow to take the last bytes keeps nobody waiting', async (t) => {
  const { client, open, count } = await connected(t);
  let held: Socket | undefined;
  const slow = await destination(t, (socket) => (held = socket.pause()).end());
  const quick = await destination(t, echo);
  t.equal(await open(slow), 0);
  const payload = 'x'.repeat(250);
  // More than all buffers on the way to a destination that does not read.
  for (let chunk = 0; chunk < 40_000; chunk += 1) client.chunk(payload);
  client.chunk();
  t.equal(await client.nextChunk(), '');
  let heardBytes = 0;
  held?.on('data', (bytes: Buffer) => (heardBytes += bytes.length));
  held?.pause();
  setTimeout(() => held?.resume(), 50);
  t.equal(await open(quick), 0);
  client.chunk('next');
  t.equal(await client.nextChunk(), 'next');
  await until(() => heardBytes === 40_000 * 250);
  t.equal(count('tunnels_total', { end: 'reset' }), 0);
});

t.test('an upload that breaks off is a reset at its destination, never an end', async (t) => {
  for (const how of ['close_notify', 'end of TCP'] as const) {
    const { client, open, count } = await connected(t);
    const events: string[] = [];
    const port = await destination(t, (socket) => {
      socket.on('end', () => events.push('end')).on('error', () => events.push('error'));
      socket.on('data', () => events.push('data'));
    });
    t.equal(await open(port), 0);
    client.chunk('half of a');
    await until(() => events.length > 0);
    if (how === 'close_notify') client.tls.socket.end();
    else client.end();
    await until(() => events.length > 1);
    t.strictSame(events, ['data', 'error'], how);
    await until(() => count('tunnels_total', { end: 'reset' }) === 1);
  }
});

t.test('what is no chunk, or comes out of turn, ends the connection', async (t) => {
  const silent = await destination(t, (socket) => void socket.resume());
  for (const [what, bytes] of [
    ['an unknown kind', Buffer.of(2, 0, 0, 1, 0)],
    ['data of nothing', Buffer.of(0, 0, 0, 0)],
    ['an end with payload', Buffer.of(1, 0, 0, 1, 0)],
    ['a request before the tunnel has ended', requestAfterEnd(silent)],
  ] as const) {
    const { client, open, count } = await connected(t);
    t.equal(await open(silent), 0);
    client.tls.write(bytes);
    await client.tls.closed();
    await until(() => count('tunnels_total', { end: 'reset' }) === 1);
    t.equal(count('tunnels'), 0, what);
  }
});

function requestAfterEnd(port: number): Buffer {
  return Buffer.concat([Buffer.of(1, 0, 0, 0), requestBytes(1, '127.0.0.1', port)]);
}

t.test('a destination that breaks off ends the connection without END', async (t) => {
  const { client, open } = await connected(t);
  const port = await destination(t, (socket) => {
    socket.once('data', () => socket.write('half of a'));
    socket.on('data', (bytes: Buffer) => {
      if (String(bytes) === 'break') socket.resetAndDestroy();
    });
  });
  t.equal(await open(port), 0);
  client.chunk('begin');
  t.equal(await client.nextChunk(), 'half of a');
  client.chunk('break');
  await client.tls.closed();
  t.equal(client.tls.received.length, 0, 'nothing that says END');
});
