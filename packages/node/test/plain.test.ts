/** SOCKS5 without TLS at the port where TLS is expected. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import type { LimitOptions } from '../src/options.ts';
import { PlainSources } from '../src/plain-connection.ts';
import { ByteClient } from './byte-client.ts';
import { startNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings } from './settings.ts';
import { NONE, OURS, PASSWORD, requestBytes, SocksClient } from './socks-client.ts';
import { until } from './until.ts';
import { userList } from './users-fixture.ts';

const pki = new Pki();
const base = settings(pki);
const LOOPBACK = '127.0.0.1';

interface Changes {
  readonly plainFrom?: readonly string[];
  readonly methods?: readonly ('none' | 'password')[];
  readonly limits?: Partial<LimitOptions>;
}

function node(t: Test, { plainFrom = ['127.0.0.0/8'], methods = ['none'], limits }: Changes = {}) {
  const anything = { users: [], groups: [], commands: [], names: [], ports: [] };
  return startNode(t, new FakeCluster(), {
    ...base,
    rules: [{ ...anything, action: 'allow', networks: ['127.0.0.0/8'] }],
    authentication: { methods, users: userList(['ada', 'correct']) },
    socks: { ...base.socks, plainFrom },
    limits: { ...base.limits, ...limits },
  });
}

/** A client without TLS, from an address of its own. */
function plain(t: Test, port: number, from = LOOPBACK): SocksClient<ByteClient> {
  const socket = connect({ host: LOOPBACK, port, localAddress: from });
  t.teardown(() => void socket.destroy());
  return new SocksClient(new ByteClient(socket));
}

async function echo(t: Test): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined).pipe(socket);
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}

t.test('whoever is not in a named network is refused and counted', async (t) => {
  for (const [plainFrom, refused] of [
    [[], true],
    [['10.0.0.0/8', '::/0'], true],
    [['127.0.0.2/32'], true],
    [['127.0.0.1/32'], false],
    [['::ffff:127.0.0.1'], false],
  ] as const) {
    const { port, count } = await node(t, { plainFrom });
    const client = plain(t, port);
    if (refused) await t.rejects(client.greet(NONE));
    else t.equal(await client.greet(NONE), NONE);
    const answered = refused ? 1 : 0;
    t.equal(count('connections_refused_total', { reason: 'plain' }), answered, `${plainFrom}`);
    t.equal(count('connections_plain_total'), 1 - answered);
    t.equal(client.tls.received.length, 0, 'not a byte was said');
  }
});

t.test('CONNECT half closes as it does over TLS, and TLS is served beside it', async (t) => {
  const { port, count } = await node(t);
  const client = plain(t, port);
  t.equal(await client.greet(NONE), NONE);
  t.equal((await client.request(1, LOOPBACK, await echo(t))).code, 0);
  t.strictSame([count('connections_plain'), count('connections_secure')], [1, 0]);
  client.tls.socket.end('hello');
  t.equal(String(await client.tls.read(5)), 'hello');
  await client.tls.closed();
  await until(() => count('tunnels_total', { end: 'ended' }) === 1);
  const ours = await SocksClient.connect(pki, port, OURS);
  t.equal(await ours.greet(NONE), NONE);
  t.strictSame([count('connections_plain'), count('connections_secure')], [0, 1]);
  t.equal(count('tls_handshakes_total'), 1);
  ours.end();
});

t.test('byte by byte, and all at once with what follows', async (t) => {
  const { port } = await node(t, { methods: ['password'] });
  const all = Buffer.concat([
    Buffer.of(5, 2, NONE, PASSWORD),
    Buffer.from('\x01\x03ada\x07correct'),
    requestBytes(1, LOOPBACK, await echo(t)),
    Buffer.from('sent ahead'),
  ]);
  for (const size of [1, all.length]) {
    const { tls } = plain(t, port);
    for (let at = 0; at < all.length; at += size) {
      tls.write(all.subarray(at, at + size));
      if (size === 1) await new Promise((resolve) => setImmediate(resolve));
    }
    tls.socket.end();
    t.strictSame([...(await tls.read(6))], [5, PASSWORD, 1, 0, 5, 0]);
    await tls.read(8);
    t.equal(String(await tls.read(10)), 'sent ahead');
    await tls.closed();
  }
});

t.test('passwords are asked for, and count as no write to the cluster', async (t) => {
  const { node: running, port, count, cluster } = await node(t, { methods: ['password'] });
  const before = cluster.writes;
  const wrong = plain(t, port);
  t.equal(await wrong.greet(NONE, PASSWORD), PASSWORD);
  t.equal(await wrong.login('ada', 'wrong'), 1);
  const nobody = plain(t, port);
  t.equal(await nobody.greet(NONE), 0xff);
  const right = plain(t, port);
  t.equal(await right.greet(NONE, PASSWORD), PASSWORD);
  t.equal(await right.login('ada', 'correct'), 0);
  t.equal((await right.request(1, LOOPBACK, await echo(t))).code, 0);
  t.strictSame([count('login_writes_total'), cluster.writes], [0, before]);
  t.equal(count('logins_total', { basis: 'password' }), 1);
  await running.reloadUsers(userList());
  await right.tls.closed();
  t.equal(count('connections_cut_total', { reason: 'user' }), 1);
});

t.test('limits, and the times of greeting and request, hold here too', async (t) => {
  const limits = { greetingMs: 30, requestMs: 30, connectionsPerAddress: 2 };
  const { port, count } = await node(t, { limits });
  for (const bytes of [[5], [5, 1, NONE], [5, 1, NONE, 5, 1, 0]]) {
    const { tls } = plain(t, port);
    tls.write(bytes);
    await tls.closed();
  }
  t.equal(count('socks_unfinished_total', { reason: 'timeout' }), 3);
  const held = [plain(t, port), plain(t, port)];
  await Promise.all(held.map((client) => client.greet(NONE)));
  await t.rejects(plain(t, port).greet(NONE));
  t.equal(count('connections_refused_total', { reason: 'address-limit' }), 1);
});

t.test('what is not SOCKS5 after its first byte is closed and counted', async (t) => {
  const { port, count } = await node(t);
  for (const bytes of [
    Buffer.of(5, 0),
    Buffer.of(5, 1, NONE, 4, 1, 0, 1, 127, 0, 0, 1, 0, 80),
    Buffer.of(5, 1, NONE, 0x16, 3, 1),
  ]) {
    const { tls } = plain(t, port);
    tls.write(bytes);
    await tls.closed();
  }
  t.equal(count('socks_unfinished_total', { reason: 'malformed' }), 3);
  const late = connect({ host: LOOPBACK, port }).on('error', () => undefined);
  late.write(Buffer.of(0x16));
  await until(() => count('connections') === 1);
  late.write(Buffer.of(5, 1, 0));
  await new Promise((resolve) => late.resume().once('close', resolve));
  t.equal(
    count('connections_refused_total', { reason: 'not-tls' }),
    1,
    'only the first byte counts',
  );
});

t.test('who is cut at any byte leaves nothing', async (t) => {
  const { port, count } = await node(t);
  const all = Buffer.concat([Buffer.of(5, 1, NONE), requestBytes(1, 'localhost', 80)]);
  for (let size = 1; size < all.length; size += 1) {
    const { tls } = plain(t, port);
    tls.socket.end(all.subarray(0, size));
    await tls.closed();
  }
  await until(() => count('connections') === 0);
  t.equal(count('socks_unfinished_total', { reason: 'closed' }), all.length - 1);
  t.equal(count('connections_plain'), 0);
});

t.test('a drain ends idle ones and a stop the others', async (t) => {
  const { node: running, port, count } = await node(t, { limits: { drainMs: 10 } });
  const idle = plain(t, port);
  await idle.greet(NONE);
  const busy = plain(t, port);
  await busy.greet(NONE);
  await busy.request(1, LOOPBACK, await echo(t));
  const drained = running.drain();
  await idle.tls.closed();
  await drained;
  t.equal(count('tunnels'), 1);
  await running.stop();
  await busy.tls.closed();
});

t.test('a network that is none is an error that names it', async (t) => {
  t.throws(() => new PlainSources(['10.0.0.1/8']), {
    code: 'bad-network',
    message: 'socks.plainFrom: wanted a network such as 10.0.0.0/8, found 10.0.0.1/8',
  });
  const sources = new PlainSources(['fe80::/10']);
  t.strictSame(
    ['fe80::1%eth0', '127.0.0.1', undefined].map((source) => sources.include(source)),
    [true, false, false],
  );
});
