/** Tunnels of our client, side by side on one connection. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { Rule } from '../src/options.ts';
import { startNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings } from './settings.ts';
import { chunkBytes, NONE, requestBytes, SocksClient } from './socks-client.ts';
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

async function connected(t: Test, perAddress = 1_000) {
  const base = settings(pki);
  const limits = { ...base.limits, connectionsPerAddress: perAddress };
  const started = await startNode(t, new FakeCluster(), { ...base, limits, rules: [LOOPBACK] });
  const client = await SocksClient.connect(pki, started.port);
  t.teardown(() => client.end());
  t.equal(await client.greet(NONE), NONE);
  const open = (port: number) => client.open('127.0.0.1', port);
  const next = async () => {
    const { kind, tunnel, payload } = await client.nextChunk();
    return [kind, tunnel, String(payload)];
  };
  return { ...started, client, open, next };
}

function echo(socket: Socket): void {
  socket.pipe(socket);
}

t.test('one connection serves request after request, refused ones among them', async (t) => {
  const { client, open, next, count } = await connected(t);
  const port = await destination(t, echo);
  for (const [index, word] of ['one', 'two', 'three'].entries()) {
    const tunnel = 3 * index + 1;
    t.equal(await open(port), 0);
    client.chunk(word);
    t.strictSame(await next(), ['data', tunnel, word]);
    client.chunk();
    t.strictSame(await next(), ['end', tunnel, '']);
    t.equal(await client.open('10.0.0.1', 80), 2);
    t.equal(await client.open('127.0.0.1', 80, 9), 7);
  }
  await until(() => count('tunnels_total', { end: 'ended' }) === 3);
  t.equal(count('tls_handshakes_total'), 1);
  t.equal(count('tunnel_bytes_total', { direction: 'to-client' }), 11);
  client.end();
  await until(() => count('connections') === 0);
  t.equal(count('socks_unfinished_total'), 0);
});

t.test('tunnels run side by side, and one that breaks leaves the others', async (t) => {
  const { client, open, next, count } = await connected(t);
  const port = await destination(t, echo);
  const breaking = await destination(t, (socket) => {
    socket.once('data', () => socket.resetAndDestroy());
  });
  t.equal(await open(port), 0);
  t.equal(await open(breaking), 0);
  t.equal(await open(port), 0);
  t.equal(count('tunnels'), 3);
  client.chunk('break', 2);
  t.strictSame(await next(), ['reset', 2, '']);
  for (const tunnel of [1, 3]) {
    client.chunk(`word ${tunnel}`, tunnel);
    t.strictSame(await next(), ['data', tunnel, `word ${tunnel}`]);
  }
  client.sendChunk('reset', 3);
  await until(() => count('tunnels') === 1);
  client.chunk('', 1);
  t.strictSame(await next(), ['end', 1, '']);
});

t.test('each tunnel counts against the limit of its address', async (t) => {
  const { open, client, count } = await connected(t, 3);
  const port = await destination(t, echo);
  for (const code of [0, 0, 0, 1, 1]) t.equal(await open(port), code);
  t.equal(count('connections_refused_total', { reason: 'address-limit' }), 2);
  client.sendChunk('reset', 2);
  await until(() => count('tunnels') === 2);
  t.equal(await open(port), 0);
});

t.test('a destination that ends first is heard to the end, and may be answered', async (t) => {
  const { client, open, next } = await connected(t);
  const heard: string[] = [];
  const port = await destination(t, (socket) => {
    socket.end('bye');
    socket.once('data', (bytes: Buffer) => heard.push(String(bytes)));
  });
  t.equal(await open(port), 0);
  t.strictSame(await next(), ['data', 1, 'bye']);
  t.strictSame(await next(), ['end', 1, '']);
  client.chunk('late');
  client.chunk();
  await until(() => heard.length === 1);
});

t.test('who sends more to a slow destination than it may is cut, and nobody else', async (t) => {
  const { client, open, next, count } = await connected(t);
  const slow = await destination(t, (socket) => void socket.pause().end());
  const quick = await destination(t, echo);
  t.equal(await open(slow), 0);
  t.strictSame(await next(), ['end', 1, '']);
  t.equal(await open(quick), 0);
  const payload = Buffer.alloc(60_000, 'argyle');
  let cut = false;
  const told: unknown[] = [];
  const listening = (async () => {
    while (!cut) {
      const [kind, tunnel] = await next();
      if (kind === 'credit') continue;
      told.push([kind, tunnel]);
      cut = true;
    }
  })();
  while (!cut) {
    client.sendChunk('data', 1, payload);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await listening;
  t.strictSame(told, [['reset', 1]]);
  client.chunk('next');
  t.strictSame(await next(), ['data', 2, 'next']);
  t.equal(count('tunnels_total', { end: 'reset' }), 1);
});

t.test('an upload that breaks off is a reset at its destination, never an end', async (t) => {
  for (const how of ['close_notify', 'end of TCP', 'reset'] as const) {
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
    else if (how === 'reset') client.sendChunk('reset', 1);
    else client.end();
    await until(() => events.length > 1);
    t.strictSame(events, ['data', 'error'], how);
    await until(() => count('tunnels_total', { end: 'reset' }) === 1);
  }
});

t.test('what is no chunk, or comes out of turn, ends the connection', async (t) => {
  const silent = await destination(t, (socket) => void socket.resume());
  for (const [what, bytes] of [
    ['an unknown kind', Buffer.of(7, 0, 0, 1, 0, 0, 0, 0)],
    ['data of nothing', Buffer.of(0, 0, 0, 1, 0, 0, 0, 0)],
    ['an end with payload', Buffer.of(1, 0, 0, 1, 0, 0, 0, 1, 0)],
    ['tunnel 0', Buffer.of(1, 0, 0, 0, 0, 0, 0, 0)],
    ['a number in use', chunkBytes('request', 1, requestBytes(1, '127.0.0.1', silent))],
  ] as const) {
    const { client, open, count } = await connected(t);
    t.equal(await open(silent), 0);
    client.tls.write(bytes);
    await client.tls.closed();
    await until(() => count('tunnels_total', { end: 'reset' }) === 1);
    t.equal(count('tunnels'), 0, what);
    t.equal(count('socks_unfinished_total', { reason: 'malformed' }), 1);
  }
});

t.test('a request that is none is refused, and its connection goes on', async (t) => {
  const { client, open, next } = await connected(t);
  for (const [bytes, code] of [
    [Buffer.from('GET / HTTP'), 1],
    [Buffer.of(5, 9, 0, 1, 127, 0, 0, 1, 0, 80), 7],
    [Buffer.of(5, 1, 0, 2, 127, 0, 0, 1, 0, 80), 8],
    [Buffer.of(5, 1, 0, 1, 127, 0), 1],
    [Buffer.of(5, 1, 0, 1, 127, 0, 0, 1, 0, 80, 0), 1],
  ] as const) {
    client.sendChunk('request', 77, bytes);
    const { kind, tunnel, payload } = await client.nextChunk();
    t.strictSame([kind, tunnel, payload[1]], ['reply', 77, code], String(bytes));
  }
  t.equal(await open(await destination(t, echo)), 0);
  client.chunk('still here');
  t.strictSame(await next(), ['data', 1, 'still here']);
});

t.test('a request that is given up is not answered, and its dial ends', async (t) => {
  const { client, open, count } = await connected(t);
  const request = requestBytes(1, '127.0.0.1', await destination(t, echo));
  const both = [chunkBytes('request', 500, request), chunkBytes('reset', 500, Buffer.alloc(0))];
  client.tls.write(Buffer.concat(both));
  t.equal(await open(await destination(t, echo)), 0);
  await until(() => count('tunnels') === 1);
});
