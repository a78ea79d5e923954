/** BIND (RFC 1928 §6) at a whole node, in every way that leads there. */
import { once } from 'node:events';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import type { BindOptions, LimitOptions, Rule } from '../src/options.ts';
import { heard, LOOPBACK, peer, WAYS, type Way } from './binding.ts';
import { startNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings } from './settings.ts';
import { OURS, requestBytes, SocksClient } from './socks-client.ts';
import { TlsClient } from './tls-client.ts';
import { until } from './until.ts';
import { userList } from './users-fixture.ts';

const pki = new Pki();
const base = settings(pki);
const ANYTHING = { users: [], groups: [], commands: [], networks: [], names: [], ports: [] };
const ALLOW_LOOPBACK: Rule = { ...ANYTHING, action: 'allow', networks: ['127.0.0.0/8', '::1/128'] };
const ALLOW_ANYBODY: Rule = {
  ...ANYTHING,
  action: 'allow',
  commands: ['bind'],
  networks: ['0.0.0.0/32'],
};

interface Changes {
  readonly rules?: readonly Rule[];
  readonly bind?: Partial<BindOptions>;
  readonly limits?: Partial<LimitOptions>;
}

async function node(t: Test, { rules = [ALLOW_LOOPBACK], bind, limits }: Changes = {}) {
  return startNode(t, new FakeCluster(), {
    ...base,
    rules,
    authentication: {
      methods: ['none', 'password'],
      users: userList(['ada', 'correct', 'staff'], ['bob', 'horse']),
    },
    socks: { ...base.socks, plainFrom: ['127.0.0.0/8'], bind: { ...base.socks.bind, ...bind } },
    limits: { ...base.limits, ...limits },
  });
}

function listeners(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length;
}

function each(title: string, test: (t: Test, way: Way) => Promise<void>): void {
  for (const [name, way] of Object.entries(WAYS)) {
    t.test(`${title} (${name})`, (t) => test(t, way));
  }
}

each(
  'the first reply names a port, the second the peer, and a tunnel joins them',
  async (t, way) => {
    const { port, count } = await node(t);
    const client = await way(t, pki, port);
    const first = await client.ask(LOOPBACK);
    t.strictSame([first.code, first.address], [0, LOOPBACK]);
    t.equal(count('binds'), 1);
    const caller = await peer(t, first.port);
    const second = await client.second();
    t.strictSame(second, { code: 0, address: LOOPBACK, port: caller.localPort });
    t.strictSame([count('binds'), count('tunnels')], [0, 1]);
    caller.end('220 ready');
    t.equal(await client.hear(9), '220 ready');
    client.say('one more word');
    client.end();
    t.equal(await heard(caller), 'one more word', 'the other half had stayed open');
    await until(() => count('tunnels_total', { end: 'ended' }) === 1);
    t.equal(count('binds_total', { end: 'met' }), 1);
    t.equal(listeners(), 1, 'the node’s own');
    t.equal(count('tunnel_bytes_total'), 22);
  },
);

each('what a client sends ahead of its peer is not lost', async (t, way) => {
  const { port } = await node(t);
  const client = await way(t, pki, port);
  const first = await client.ask(LOOPBACK);
  client.say('sent ahead');
  client.end();
  const caller = await peer(t, first.port);
  t.equal((await client.second()).code, 0);
  t.equal(await heard(caller), 'sent ahead');
});

each('only the peer that was named is let in', async (t, way) => {
  const { port, count } = await node(t);
  const client = await way(t, pki, port);
  const first = await client.ask('127.0.0.7');
  for (const from of [LOOPBACK, '127.0.0.8']) {
    const stranger = connect({ host: LOOPBACK, port: first.port, localAddress: from });
    const [error] = await once(stranger.resume(), 'error');
    t.equal(error.code, 'ECONNRESET', from);
  }
  await peer(t, first.port, '127.0.0.7');
  t.equal((await client.second()).address, '127.0.0.7');
  t.equal(count('bind_strangers_total', { reason: 'address' }), 2);
});

each('a wait that nobody ends is a refusal after its time', async (t, way) => {
  const { port, count } = await node(t, { bind: { waitMs: 30 } });
  const client = await way(t, pki, port);
  const first = await client.ask(LOOPBACK);
  t.equal(first.code, 0);
  t.strictSame(await client.second(), { code: 4, address: '0.0.0.0', port: 0 });
  t.equal(count('binds_total', { end: 'timeout' }), 1);
  await t.rejects(peer(t, first.port), { code: 'ECONNREFUSED' });
  t.equal(listeners(), 1, 'the node’s own');
});

each('a client that leaves while it waits leaves no port behind', async (t, way) => {
  const { port, count } = await node(t);
  const client = await way(t, pki, port);
  const first = await client.ask(LOOPBACK);
  client.leave();
  await until(() => count('binds_total', { end: 'left' }) === 1);
  t.equal(count('binds'), 0);
  await t.rejects(peer(t, first.port), { code: 'ECONNREFUSED' });
  t.equal(listeners(), 1, 'the node’s own');
});

each('a peer that breaks off is a reset at the client, and the other way', async (t, way) => {
  const { port, count } = await node(t);
  for (const breaks of ['peer', 'client'] as const) {
    // Over TLS the runtime does not tell an end from a break (README).
    if (breaks === 'client' && way === WAYS['conventional']) continue;
    const client = await way(t, pki, port);
    const first = await client.ask(LOOPBACK);
    const caller = await peer(t, first.port);
    await client.second();
    const before = count('tunnels_total', { end: 'reset' });
    const closed = new Promise((resolve) => caller.resume().once('close', resolve));
    if (breaks === 'peer') caller.resetAndDestroy();
    else client.breakOff();
    await until(() => count('tunnels_total', { end: 'reset' }) === before + 1);
    await closed;
    if (breaks === 'client') t.ok(caller.errored, 'never a clean end');
  }
});

each('rules judge the peer before anything listens', async (t, way) => {
  const connectOnly: Rule = { ...ALLOW_LOOPBACK, commands: ['connect'] };
  const bindTo21: Rule = {
    ...ALLOW_LOOPBACK,
    commands: ['bind'],
    networks: ['127.0.0.2/32'],
    ports: [{ from: 21, to: 21 }],
  };
  const { port, count } = await node(t, { rules: [connectOnly, bindTo21] });
  for (const [named, at, code] of [
    [LOOPBACK, 21, 2],
    ['127.0.0.2', 22, 2],
    ['10.0.0.1', 21, 2],
    ['0.0.0.0', 21, 2],
    ['::', 21, 2],
    ['nowhere.invalid', 21, 4],
    ['127.0.0.2', 21, 0],
  ] as const) {
    const client = await way(t, pki, port);
    t.equal((await client.ask(named, at)).code, code, `${named} ${at}`);
    t.equal(count('binds'), code === 0 ? 1 : 0);
    client.leave();
  }
  await until(() => count('binds') === 0);
  t.equal(count('socks_requests_total', { reply: 'not-allowed' }), 5);
});

t.test('anybody may come only where a rule names that, and is judged then', async (t) => {
  const general = await node(t, { rules: [{ ...ANYTHING, action: 'allow' }, ALLOW_LOOPBACK] });
  const refused = await WAYS['conventional']!(t, pki, general.port);
  t.equal((await refused.ask('0.0.0.0', 0)).code, 2, 'a general rule is no such rule');

  const allowed: Rule = { ...ALLOW_LOOPBACK, networks: ['127.0.0.5/32'] };
  const { node: running, port, count } = await node(t, { rules: [ALLOW_ANYBODY, allowed] });
  const client = await WAYS['conventional']!(t, pki, port);
  const first = await client.ask('0.0.0.0', 0);
  t.equal(first.code, 0);
  t.match(running.views.binds({ limit: 9 }), [
    { endpoint: `${LOOPBACK}:${first.port}`, user: undefined, expected: [], ageSeconds: 0 },
  ]);
  const stranger = connect({ host: LOOPBACK, port: first.port });
  const [error] = await once(stranger.resume(), 'error');
  t.equal(error.code, 'ECONNRESET');
  await peer(t, first.port, '127.0.0.5');
  t.equal((await client.second()).address, '127.0.0.5');
  t.equal(count('bind_strangers_total', { reason: 'rule' }), 1);
});

t.test('a peer is named by name too, and rules know the user', async (t) => {
  const staff: Rule = { ...ALLOW_LOOPBACK, groups: ['staff'] };
  const { node: running, port } = await node(t, { rules: [staff] });
  for (const [user, password, code] of [
    ['ada', 'correct', 0],
    ['bob', 'horse', 2],
  ] as const) {
    const client = await SocksClient.connect(pki, port, {});
    await client.greet(2);
    await client.login(user, password);
    const first = await client.request(2, 'localhost', 21);
    t.equal(first.code, code, user);
    if (code !== 0) continue;
    t.match(running.views.binds({ limit: 9 }), [{ user: 'ada', expected: [LOOPBACK] }]);
    await peer(t, first.port);
    t.equal((await client.reply()).code, 0);
    await running.reloadUsers(userList(['bob', 'horse']));
    await client.tls.closed();
  }
});

t.test('the address that peers are told can be another', async (t) => {
  const { port } = await node(t, { bind: { addresses: ['192.0.2.7', '2001:db8::7'] } });
  const client = await WAYS['carried']!(t, pki, port);
  const first = await client.ask(LOOPBACK);
  t.equal(first.address, '192.0.2.7');
  await peer(t, first.port);
  t.equal((await client.second()).code, 0, 'the node listens where it can');
  const other = await SocksClient.connect(pki, port, {});
  await other.greet(0);
  const second = await other.request(2, '::1', 21);
  t.strictSame([second.code, second.address.toString('hex').slice(0, 8)], [0, '20010db8']);
  connect({ host: '::1', port: second.port })
    .on('error', () => undefined)
    .unref();
  t.equal((await other.reply()).address.at(-1), 1);
  other.end();
});

t.test('a peer of a family that the node has no address of is refused as such', async (t) => {
  const { port } = await node(t);
  const client = await WAYS['conventional']!(t, pki, port);
  t.equal((await client.ask('::1')).code, 8);
});

t.test('ports that wait are limited, in all and for one address', async (t) => {
  for (const [bind, end] of [
    [{ waiting: 2 }, 'limit'],
    [{ waitingPerAddress: 2 }, 'address-limit'],
  ] as const) {
    const { port, count } = await node(t, { bind });
    const clients = await Promise.all([1, 2, 3].map(() => WAYS['carried']!(t, pki, port)));
    const codes = [];
    for (const client of clients) codes.push((await client.ask(LOOPBACK)).code);
    t.strictSame(codes, [0, 0, 1]);
    t.equal(count('binds_total', { end }), 1);
    clients[0]?.leave();
    await until(() => count('binds') === 1);
    const next = await WAYS['plain']!(t, pki, port);
    t.equal((await next.ask(LOOPBACK)).code, 0);
  }
});

t.test('a drain lets a wait end well within its time, and a stop ends it', async (t) => {
  for (const comes of [true, false]) {
    const limits = { drainMs: comes ? 30_000 : 30 };
    const { node: running, port, count } = await node(t, { limits });
    const client = await WAYS['carried']!(t, pki, port);
    const first = await client.ask(LOOPBACK);
    const drained = running.drain();
    if (comes) {
      const caller = await peer(t, first.port);
      t.equal((await client.second()).code, 0);
      caller.end();
      client.end();
      await heard(caller);
    }
    await drained;
    await running.stop();
    t.equal(count('binds_total', { end: comes ? 'met' : 'left' }), 1);
    await until(() => listeners() === 0);
  }
});

for (const size of [1, 2, 7]) {
  t.test(`greeting and BIND in pieces of ${size}`, async (t) => {
    const { port } = await node(t);
    const tls = await TlsClient.connect(pki, port);
    const all = Buffer.concat([Buffer.of(5, 1, 0), requestBytes(2, LOOPBACK, 21)]);
    for (let at = 0; at < all.length; at += size) tls.write(all.subarray(at, at + size));
    t.strictSame([...(await tls.read(4))], [5, 0, 5, 0]);
    const port2 = (await tls.read(8)).readUInt16BE(6);
    await peer(t, port2);
    t.equal((await tls.read(10))[1], 0);
    tls.end();
  });
}

t.test('a request that is cut at any byte opens nothing', async (t) => {
  const { port, count } = await node(t, { limits: { requestMs: 5_000 } });
  for (const request of [requestBytes(2, LOOPBACK, 21), requestBytes(2, 'localhost', 21)]) {
    for (let size = 0; size < request.length; size += 1) {
      const tls = await TlsClient.connect(pki, port);
      tls.write(Buffer.concat([Buffer.of(5, 1, 0), request.subarray(0, size)]));
      tls.socket.end();
      await tls.closed();
      const ours = await SocksClient.connect(pki, port, OURS);
      await ours.greet(0);
      if (size > 0) {
        ours.sendChunk('request', 1, request.subarray(0, size));
        t.equal((await ours.nextChunk()).payload[1], 1);
      }
      ours.end();
    }
  }
  await until(() => count('connections') === 0);
  t.strictSame([count('binds'), count('binds_total')], [0, 0]);
});
