import { once } from 'node:events';
import { connect as connectTcp, createServer, type AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import type { LimitOptions, NodeOptions, Rule } from '../src/options.ts';
import { hashPassword } from '../src/password.ts';
import { startNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings } from './settings.ts';
import { CONVENTIONAL, NONE, OURS, PASSWORD, requestBytes, SocksClient } from './socks-client.ts';
import { TlsClient } from './tls-client.ts';
import { until } from './until.ts';
import { userList } from './users-fixture.ts';

const pki = new Pki();
const base = settings(pki);
const LOOPBACK: Rule = {
  action: 'allow',
  networks: ['127.0.0.0/8', '::1/128'],
  ...{ users: [], groups: [], commands: [], names: [], ports: [] },
};

interface Changes extends Partial<Omit<NodeOptions, 'limits'>> {
  readonly limits?: Partial<LimitOptions>;
}

function node(t: Test, { limits, ...changes }: Changes = {}) {
  const options = { ...base, rules: [LOOPBACK], ...changes };
  return startNode(t, new FakeCluster(), { ...options, limits: { ...base.limits, ...limits } });
}

/** Answers every connection with what it got, in capitals, when the other side has ended. */
async function shouter(t: Test, address = '127.0.0.1'): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const said: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => said.push(chunk));
    socket.on('end', () => socket.end(String(Buffer.concat(said)).toUpperCase()));
    socket.on('error', () => undefined);
  });
  server.listen(0, address);
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}

t.test('CONNECT by IPv4, by IPv6 and by name, each half closing by itself', async (t) => {
  const { port, count } = await node(t);
  for (const [destination, listening] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['localhost', '127.0.0.1'],
    ['LocalHost.', '127.0.0.1'],
  ] as const) {
    const target = await shouter(t, listening);
    const client = await SocksClient.connect(pki, port, CONVENTIONAL);
    t.equal(await client.greet(NONE), NONE);
    const reply = await client.request(1, destination, target);
    t.equal(reply.code, 0, destination);
    t.ok(reply.port > 0, 'the reply names the address that the destination sees');
    client.tls.socket.end('hello');
    t.equal(String(await client.tls.read(5)), 'HELLO');
    await client.tls.closed();
  }
  t.equal(count('socks_requests_total', { reply: 'succeeded' }), 4);
  t.equal(count('tunnel_bytes_total', { direction: 'to-client' }), 20);
  await until(() => count('tunnels') === 0);
  t.equal(count('tunnels_total', { end: 'ended' }), 4);
});

for (const size of [1, 3, 1_000]) {
  t.test(`greeting, login, request and data sent ahead in pieces of ${size}`, async (t) => {
    const target = await shouter(t);
    const { port } = await node(t, {
      authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
    });
    const tls = await TlsClient.connect(pki, port);
    const all = Buffer.concat([
      Buffer.of(5, 2, NONE, PASSWORD),
      Buffer.from('\x01\x03ada\x07correct'),
      requestBytes(1, '127.0.0.1', target),
      Buffer.from('sent ahead'),
    ]);
    for (let at = 0; at < all.length; at += size) tls.write(all.subarray(at, at + size));
    tls.socket.end();
    t.strictSame([...(await tls.read(6))], [5, PASSWORD, 1, 0, 5, 0]);
    await tls.read(8);
    t.equal(String(await tls.read(10)), 'SENT AHEAD');
    await tls.closed();
  });
}

t.test('what cannot be done is answered with the reply that says why', async (t) => {
  const { port, count } = await node(t);
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port: closedPort } = closed.address() as AddressInfo;
  closed.close();
  const table: [string, number, number[] | Buffer][] = [
    ['BIND without a rule', 2, requestBytes(2, '192.168.1.1', 80)],
    ['UDP ASSOCIATE whose datagrams would be in clear', 2, requestBytes(3, '0.0.0.0', 0)],
    ['an unknown command', 7, requestBytes(9, '127.0.0.1', 80)],
    ['an unknown address type', 8, [5, 1, 0, 2, 0, 0]],
    ['a port where nobody listens', 5, requestBytes(1, '127.0.0.1', closedPort)],
    ['an address without a rule', 2, requestBytes(1, '192.168.1.1', 80)],
    ['a mapped address without a rule', 2, requestBytes(1, '::ffff:10.0.0.1', 80)],
    ['port 0', 2, requestBytes(1, '127.0.0.1', 0)],
    ['a name that does not exist', 4, requestBytes(1, 'nowhere.invalid', 80)],
    ['no name', 4, requestBytes(1, '', 80)],
    ['a name that is none', 4, requestBytes(1, 'a b\0', 80)],
    ['the node’s own port', 2, requestBytes(1, '127.0.0.1', 12_345)],
  ];
  const own = { protectedEndpoints: [{ address: '0.0.0.0', port: 12_345 }] };
  const protecting = await node(t, own);
  for (const [what, code, request] of table) {
    const at = what.startsWith('the node') ? protecting.port : port;
    const client = await SocksClient.connect(pki, at, CONVENTIONAL);
    await client.greet(NONE);
    client.tls.write(request);
    const reply = await client.tls.read(10);
    t.strictSame([...reply.subarray(0, 3)], [5, code, 0], what);
    await client.tls.closed();
  }
  t.equal(count('socks_requests_total', { reply: 'command-not-supported' }), 1);
  t.equal(count('socks_requests_total', { reply: 'not-allowed' }), 5);
});

t.test('a wrong password and an unknown user get the same answer', async (t) => {
  const { port, count } = await node(t, {
    authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
  });
  for (const [user, password] of [
    ['ada', 'wrong'],
    ['eve', 'correct'],
  ] as const) {
    const client = await SocksClient.connect(pki, port);
    t.equal(await client.greet(NONE, PASSWORD), PASSWORD);
    t.equal(await client.login(user, password), 1);
    await client.tls.closed();
  }
  t.equal(count('password_checks_total', { result: 'wrong' }), 1);
  t.equal(count('password_checks_total', { result: 'unknown' }), 1);
  t.equal(count('socks_unfinished_total', { reason: 'bad-password' }), 2);
});

t.test('a password that nobody had time to check gets no verdict', async (t) => {
  const costly = await hashPassword('correct', Buffer.alloc(16));
  const {
    node: running,
    port,
    count,
  } = await node(t, {
    limits: { connections: 200, connectionsPerAddress: 200 },
    authentication: {
      methods: ['password'],
      users: new Map([['ada', { password: costly, groups: [] }]]),
    },
  });
  const clients = await Promise.all(
    Array.from({ length: 140 }, () => SocksClient.connect(pki, port)),
  );
  for (const client of clients) await client.greet(PASSWORD);
  for (const { tls } of clients) tls.write(Buffer.from('\x01\x03ada\x05wrong'));
  const busy = () => count('password_checks_total', { result: 'busy' });
  await until(() => busy() > 0);
  const turnedAway = () =>
    clients.filter(({ tls }) => tls.socket.destroyed && tls.received.length === 0);
  await until(() => turnedAway().length > 0 && turnedAway().length === busy());
  t.equal(count('socks_unfinished_total', { reason: 'busy' }), busy());
  await running.stop();
  t.ok(count('password_checks_total', { result: 'left' }) > 0, 'a stop waits for no turn');
});

t.test('the reply to a login waits for the members', async (t) => {
  const { port, cluster, count } = await node(t, {
    authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
    sessions: { ...base.sessions, holdMs: 60_000 },
  });
  cluster.join();
  const client = await SocksClient.connect(pki, port);
  await client.greet(PASSWORD);
  cluster.hold();
  const before = cluster.writes;
  const status = client.login('ada', 'correct');
  await until(() => cluster.writes > before);
  t.equal(cluster.writes, before + 1, 'the login and both sessions are one write');
  t.equal(client.tls.received.length, 0);
  cluster.release();
  t.equal(await status, 0);
  t.equal(count('login_writes_total', { result: 'done' }), 1);
  client.end();
});

t.test('a client without an acceptable method is told so', async (t) => {
  const { port, count } = await node(t, {
    authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
  });
  const client = await SocksClient.connect(pki, port);
  t.equal(await client.greet(NONE, 0x01, 0x80), 0xff);
  await client.tls.closed();
  t.equal(count('socks_unfinished_total', { reason: 'no-method' }), 1);
});

t.test('what is not SOCKS5 is closed and counted', async (t) => {
  const { port, count } = await node(t, {
    authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
  });
  for (const bytes of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.of(4, 1, 0, 80, 127, 0, 0, 1, 0),
    Buffer.of(5, 0),
    Buffer.of(5, 1, PASSWORD, 2, 3, 4),
    Buffer.of(5, 1, PASSWORD, 1, 0),
    Buffer.concat([Buffer.of(5, 1, PASSWORD), Buffer.from('\x01\x03ada\x07correct'), Buffer.of(9)]),
  ]) {
    const client = await TlsClient.connect(pki, port);
    client.write(bytes);
    await client.closed();
  }
  t.equal(count('socks_unfinished_total', { reason: 'malformed' }), 6);
});

t.test('greeting, login and request have to come in time', async (t) => {
  const { port, count } = await node(t, {
    limits: { greetingMs: 30, requestMs: 30 },
    authentication: { methods: ['none', 'password'], users: userList(['ada', 'correct']) },
  });
  for (const bytes of [[5], [5, 1, PASSWORD, 1], [5, 1, NONE], [5, 1, NONE, 5, 1, 0]]) {
    const client = await TlsClient.connect(pki, port);
    client.write(bytes);
    await client.closed();
  }
  t.equal(count('socks_unfinished_total', { reason: 'timeout' }), 4);
});

t.test('our client may log in ahead of its request; others have to make one', async (t) => {
  const target = await shouter(t);
  const { port, count } = await node(t, { limits: { requestMs: 30 } });
  const warm = await SocksClient.connect(pki, port, OURS);
  await warm.greet(NONE);
  const slow = await SocksClient.connect(pki, port, CONVENTIONAL);
  await slow.greet(NONE);
  slow.tls.write([5]);
  await slow.tls.closed();
  t.equal(count('socks_unfinished_total', { reason: 'timeout' }), 1);
  t.equal(await warm.open('127.0.0.1', target), 0, 'the warm one waited longer');
  warm.end();
});

t.test('the TLS handshake has to end in time, and begin with TLS', async (t) => {
  const { port, count } = await node(t, { limits: { handshakeMs: 30 } });
  const said = async (bytes: Buffer) => {
    const socket = connectTcp({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    socket.write(bytes);
    await new Promise((resolve) => socket.resume().once('close', resolve));
  };
  await said(Buffer.of(0x16, 3, 1));
  t.equal(count('connections_refused_total', { reason: 'timeout' }), 1);
  await said(Buffer.from('GET / HTTP/1.1'));
  t.equal(count('connections_refused_total', { reason: 'not-tls' }), 1);
  await said(Buffer.of(0x16, 3, 1, 0, 4, 2, 0, 0, 0));
  t.equal(count('connections_refused_total', { reason: 'not-hello' }), 1);
  t.equal(count('connections'), 0);
});

t.test('connections are limited, in all and for one address', async (t) => {
  for (const [limits, reason] of [
    [{ connections: 2 }, 'limit'],
    [{ connectionsPerAddress: 2 }, 'address-limit'],
  ] as const) {
    const { port, count } = await node(t, { limits });
    const held = [await TlsClient.connect(pki, port), await TlsClient.connect(pki, port)];
    await t.rejects(TlsClient.connect(pki, port));
    t.equal(count('connections_refused_total', { reason }), 1);
    for (const client of held) client.end();
    await until(() => count('connections') === 0);
    (await TlsClient.connect(pki, port)).end();
  }
});

t.test('a client with another ALPN is served, and nothing is negotiated', async (t) => {
  const { port } = await node(t);
  const client = await SocksClient.connect(pki, port, { ALPNProtocols: ['h2', 'http/1.1'] });
  t.equal(client.tls.socket.alpnProtocol, false);
  t.equal(await client.greet(NONE), NONE);
  client.end();
  const ours = await SocksClient.connect(pki, port, { ALPNProtocols: ['h2', 'argyle/1'] });
  t.equal(ours.tls.socket.alpnProtocol, 'argyle/1');
  ours.end();
});

t.test('rules know the user and his groups', async (t) => {
  const target = await shouter(t);
  const { port } = await node(t, {
    authentication: {
      methods: ['password'],
      users: userList(['ada', 'correct', 'staff'], ['bob', 'horse']),
    },
    rules: [{ ...LOOPBACK, groups: ['staff'] }],
  });
  for (const [user, password, code] of [
    ['ada', 'correct', 0],
    ['bob', 'horse', 2],
  ] as const) {
    const client = await SocksClient.connect(pki, port);
    await client.greet(PASSWORD);
    await client.login(user, password);
    t.equal(await client.open('127.0.0.1', target), code, user);
    client.end();
  }
});
