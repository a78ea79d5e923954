import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { SystemHost } from '@argyle/host/system';
import t from 'tap';
import { Node } from '../src/node.ts';
import type { NodeOptions, Rule } from '../src/options.ts';
import { FakeNodeCache, startNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings, SILENT } from './settings.ts';
import { NONE, OURS, PASSWORD, requestBytes, SocksClient } from './socks-client.ts';
import { TlsClient } from './tls-client.ts';
import { until } from './until.ts';
import { userList } from './users-fixture.ts';

const pki = new Pki();
const base = settings(pki);
const LOOPBACK: Rule = {
  action: 'allow',
  networks: ['127.0.0.0/8'],
  ...{ users: [], groups: [], commands: [], names: [], ports: [] },
};

function unstarted(options: NodeOptions) {
  const cluster = new FakeCluster();
  const cache = cluster.join(new FakeNodeCache(cluster));
  const node = new Node({
    ...{ host: new SystemHost(), log: SILENT, options },
    cache: (handlers) => {
      cache.handlers = handlers;
      return cache;
    },
  });
  return { node, cache };
}

t.test('a node listens only when its cache has synchronised', async (t) => {
  const { node, cache } = unstarted({ ...base, listen: { address: '127.0.0.1', port: 21_001 } });
  cache.ready = false;
  const started = node.start();
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(node.readiness(), { ready: false, reason: 'It has not synchronised.' });
  const refused = connect({ host: '127.0.0.1', port: 21_001 });
  const [error] = (await once(refused, 'error').catch((error: unknown) => [error])) as [Error];
  t.match(error, { code: 'ECONNREFUSED' });
  cache.setReady(true);
  await started;
  t.strictSame(node.readiness(), { ready: true, reason: '' });
  (await TlsClient.connect(pki, 21_001)).end();

  cache.ready = false;
  t.equal(node.readiness().ready, false, 'and says so when it has to synchronise again');
  await node.stop();
  t.match(node.readiness(), { ready: false, reason: /stopped/ });
});

t.test('a node that cannot join, or is stopped meanwhile, says so', async (t) => {
  const { node, cache } = unstarted(base);
  cache.ready = false;
  const started = node.start();
  cache.handlers?.failed(new Error('the name is in use'));
  await t.rejects(started, { code: 'group', message: /the name is in use/ });
  await node.stop();

  const another = unstarted(base);
  another.cache.ready = false;
  const starting = another.node.start();
  const stopped = another.node.stop();
  await t.rejects(starting, { code: 'stopped' });
  await stopped;
});

t.test('a port in use is an error that names it', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const { node } = unstarted({ ...base, listen: { address: '127.0.0.1', port } });
  await t.rejects(node.start(), { code: 'listen', message: `cannot listen on 127.0.0.1:${port}` });
  await node.stop();
  taken.close();
});

t.test('a certificate that is none is an error, and does not hold the key', (t) => {
  const bad = { ...base, tls: { ...base.tls, certificate: 'nonsense' } };
  t.throws(() => unstarted(bad), { code: 'bad-tls' });
  t.throws(() => unstarted({ ...base, tls: { ...base.tls, ca: 'nonsense' } }), { code: 'bad-tls' });
  t.end();
});

t.test('a drain ends idle connections and waits for tunnels, within its bound', async (t) => {
  const server = createServer((socket) => socket.pipe(socket).on('error', () => undefined));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const { port: target } = server.address() as AddressInfo;
  const limits = { ...base.limits, drainMs: 60_000 };
  const { node, port } = await startNode(t, new FakeCluster(), {
    ...base,
    limits,
    rules: [LOOPBACK],
  });
  const idle = await SocksClient.connect(pki, port, OURS);
  await idle.greet(NONE);
  const busy = await SocksClient.connect(pki, port, OURS);
  await busy.greet(NONE);
  t.equal(await busy.open('127.0.0.1', target), 0);

  const drained = node.drain();
  t.match(node.readiness(), { ready: false, reason: /draining/ });
  await idle.tls.closed();
  await t.rejects(TlsClient.connect(pki, port), 'nobody new is accepted');
  busy.chunk('still here');
  t.equal(String((await busy.nextChunk()).payload), 'still here');
  busy.sendChunk('request', 9, requestBytes(1, '127.0.0.1', target));
  t.match(await busy.nextChunk(), { kind: 'reset', tunnel: 9 }, 'a new one is for another node');
  busy.chunk();
  t.match(await busy.nextChunk(), { kind: 'end' });
  await busy.tls.closed();
  await drained;
  await node.stop();
});

t.test('stopping ends what a drain would wait for', async (t) => {
  const { node, port, count } = await startNode(t, new FakeCluster(), base);
  const client = await SocksClient.connect(pki, port);
  await client.greet(NONE);
  await Promise.all([node.stop(), client.tls.closed()]);
  await until(() => count('connections') === 0);
  await node.stop();
});

t.test('the sessions that are shown hold no secret', async (t) => {
  const { node, cache, port } = await startNode(t, new FakeCluster(), {
    ...base,
    authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
  });
  const { certificate, key } = pki.client('laptop');
  const client = await SocksClient.connect(pki, port, { ...OURS, cert: certificate, key });
  await client.greet(PASSWORD);
  await client.login('ada', 'correct');
  const rows = node.views.sessions({ limit: 10 });
  t.equal(rows.length, 2);
  t.match(rows[0], {
    session: /^[0-9a-f]{12}…$/,
    lineage: /^[0-9a-f]{12}…$/,
    protocol: 'TLSv1.3',
    user: 'ada',
    certificate: 'CN=laptop, O=Argyle',
  });
  t.ok((rows[0]?.expiresInSeconds ?? 0) > 3_500);
  const shown = JSON.stringify([rows, node.views.cluster(), node.views.cache(), node.metrics()]);
  for (const { key, value } of cache.list(1, 10)) {
    t.notMatch(shown, Buffer.from(key).toString('hex'));
    t.notMatch(shown, Buffer.from(value).toString('base64'));
  }
  t.equal(node.views.sessions({ limit: 1 }).length, 1);
  client.end();
});

t.test('the metrics that operators’ rules are written against are there', async (t) => {
  const { node, count } = await startNode(t, new FakeCluster(), base);
  const names = node.metrics().map(({ name }) => name);
  t.equal(new Set(names).size, names.length);
  for (const name of [
    'tls_handshakes_total',
    'tls_full_handshakes_total',
    'group_members',
    'group_segments_total',
    'cache_records',
  ]) {
    t.ok(names.includes(name), name);
  }
  t.equal(count('tls_handshakes_total', { resumed: 'true', protocol: 'TLSv1.3' }), 0);
  t.equal(count('tls_full_handshakes_total', { reason: 'single-use' }), 0);
});

t.test('a list of users with an entry that is none changes nothing', async (t) => {
  const { node, port } = await startNode(t, new FakeCluster(), {
    ...base,
    authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
  });
  t.throws(() => node.reloadUsers(new Map([['ada', { password: 'plain', groups: [] }]])), {
    code: 'bad-user',
  });
  const client = await SocksClient.connect(pki, port);
  await client.greet(PASSWORD);
  t.equal(await client.login('ada', 'correct'), 0);
  client.end();
});
