/** UDP ASSOCIATE as everybody speaks it, at a whole node (RFC 1928 §7). */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { DatagramSocket } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import t, { type Test } from 'tap';
import type { Filtering, Rule, UdpOptions } from '../src/options.ts';
import { Node } from '../src/node.ts';
import { ByteClient } from './byte-client.ts';
import { FakeNodeCache, startNode } from './cluster.ts';
import { FakeCluster } from './fake-cluster.ts';
import { Pki } from './pki.ts';
import { settings, SILENT } from './settings.ts';
import { NONE, OURS, requestBytes, SocksClient } from './socks-client.ts';
import { UDP, UdpClient } from './udp-client.ts';
import { to, UdpPeer } from './udp-target.ts';
import { until } from './until.ts';
import { userList } from './users-fixture.ts';

const pki = new Pki();
const base = settings(pki);
const ANYTHING = { users: [], groups: [], commands: [], networks: [], names: [], ports: [] };
const LOOPBACK: Rule = { ...ANYTHING, action: 'allow', networks: ['127.0.0.0/8', '::1/128'] };

interface Changes {
  readonly udp?: Partial<UdpOptions>;
  readonly rules?: readonly Rule[];
  readonly address?: string;
}

async function node(t: Test, { udp, rules = [LOOPBACK], address = '127.0.0.1' }: Changes = {}) {
  return startNode(t, new FakeCluster(), {
    ...base,
    rules,
    protectedEndpoints: [{ address: '127.0.0.1', port: 9 }],
    listen: { address, port: 0 },
    socks: { ...base.socks, plainFrom: ['127.0.0.0/8', '::1'], udp: { ...base.socks.udp, ...udp } },
  });
}

t.test('a client in clear, from request to answer', async (t) => {
  const { port, node: running, count } = await node(t);
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  t.equal(await client.ask(), 0);
  t.same(client.relay, { address: '127.0.0.1', port }, 'one port for TCP and UDP');
  client.send(target.endpoint, 'question');
  t.same(await target.hear(1), ['question']);
  target.answer('answer');
  await client.peer.hear(1);
  t.same(client.got, [`127.0.0.1:${target.endpoint.port} answer`]);
  t.equal(count('udp_conventional'), 1);
  t.match(running.views.conventional({ limit: 10 }), [
    { client: `127.0.0.1:${client.peer.endpoint.port}`, outgoingPort: target.heard[0]?.from.port },
  ]);
  t.equal(count('udp_datagrams_total', { direction: 'to-target' }), 1);
  t.equal(count('udp_bytes_total', { direction: 'to-client' }), 6);
  t.equal(count('udp_arrived_total', { kind: 'conventional' }), 1);
});

t.test('over IPv6, and a node that listens for both families', async (t) => {
  const { port } = await node(t, { address: '::' });
  for (const own of ['::1', '127.0.0.1']) {
    const target = await UdpPeer.open(t, own);
    const client = await UdpClient.plain(t, port, { node: own });
    t.equal(await client.ask(), 0);
    t.same(client.relay, { address: own, port });
    client.send(target.endpoint, own);
    t.same(await target.hear(1), [own]);
    target.answer('answer');
    await client.peer.hear(1);
    t.equal(client.peer.heard[0]?.from.port, port);
  }
});

t.test('a name is resolved at the node', async (t) => {
  const { port, count } = await node(t, { rules: [{ ...LOOPBACK, networks: ['127.0.0.0/8'] }] });
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  await client.ask();
  client.send({ address: 'localhost', port: target.endpoint.port }, 'by name');
  t.same(await target.hear(1), ['by name']);
  client.send({ address: 'nothing.invalid', port: 53 }, 'by no name');
  await until(() => count('udp_refused_total', { reason: 'name' }) === 1);
});

t.test('over TLS it is refused unless that is allowed, and said once', async (t) => {
  for (const clear of [false, true]) {
    const { port, count } = await node(t, { udp: { clear } });
    const target = await UdpPeer.open(t);
    const client = await UdpClient.secured(t, port, pki);
    t.equal(await client.ask(), clear ? 0 : 2);
    t.equal(count('udp_conventional_total', { event: 'clear' }), clear ? 0 : 1);
    t.equal(count('socks_requests_total', { reply: 'not-allowed' }), clear ? 0 : 1);
    if (!clear) continue;
    client.send(target.endpoint, 'in clear');
    t.same(await target.hear(1), ['in clear']);
  }
});

t.test('the association ends with its connection, however that ends', async (t) => {
  const { port, count } = await node(t);
  const target = await UdpPeer.open(t);
  const ends: readonly ((client: UdpClient) => void)[] = [
    (client) => client.connection.socket.end(),
    (client) => client.connection.socket.destroy(),
    (client) => client.connection.socket.resetAndDestroy(),
  ];
  for (const [at, end] of ends.entries()) {
    const client = await UdpClient.plain(t, port);
    await client.ask();
    client.send(target.endpoint, 'x');
    await target.hear(at + 1);
    end(client);
    await until(() => count('udp_conventional') === 0);
    t.equal(count('udp_relays'), 0);
    client.send(target.endpoint, 'late');
    await until(() => count('udp_turned_away_total', { reason: 'stranger' }) === at + 1);
  }
  t.equal(target.heard.length, ends.length);
  t.equal(count('udp_conventional_total', { event: 'ended' }), ends.length);
});

t.test('one without datagrams ends, and its connection too', async (t) => {
  const { port, count } = await node(t, { udp: { idleMs: 40 } });
  const client = await UdpClient.plain(t, port);
  await client.ask();
  await client.connection.closed();
  await until(() => count('udp_conventional') === 0);
  t.equal(count('udp_conventional_total', { event: 'idle' }), 1);
});

t.test('who is not at that address, or not at that port, is a stranger', async (t) => {
  const { port, count } = await node(t);
  const strangers = () => count('udp_turned_away_total', { reason: 'stranger' });
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  await client.ask();
  const away = await UdpPeer.open(t, '127.0.0.9');
  away.send(to(target.endpoint, 'away'), client.relay!);
  await until(() => strangers() === 1);
  client.send(target.endpoint, 'first');
  await target.hear(1);
  const neighbour = await UdpPeer.open(t);
  neighbour.send(to(target.endpoint, 'neighbour'), client.relay!);
  await until(() => strangers() === 2);
  t.same(target.texts, ['first']);
});

t.test('a port that was told is kept from the beginning, and no other has it', async (t) => {
  const { port, count } = await node(t);
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  const own = client.peer.endpoint.port;
  t.equal(await client.ask(own), 0);
  const neighbour = await UdpPeer.open(t);
  neighbour.send(to(target.endpoint, 'neighbour'), client.relay!);
  await until(() => count('udp_turned_away_total', { reason: 'stranger' }) === 1);
  const second = await UdpClient.plain(t, port);
  t.equal(await second.ask(own), 1);
  t.equal(count('udp_conventional_total', { event: 'port' }), 1);
  const elsewhere = await UdpClient.plain(t, port, { address: '127.0.0.2' });
  t.equal(await elsewhere.ask(own), 0, 'at another address it is another port');
  client.send(target.endpoint, 'own');
  t.same(await target.hear(1), ['own']);
  client.connection.end();
  await until(() => count('udp_conventional') === 1);
  const third = await UdpClient.plain(t, port);
  t.equal(await third.ask(own), 0, 'free again');
});

t.test('the first datagram belongs to who has waited longest, and noise to nobody', async (t) => {
  const { port, count } = await node(t);
  const target = await UdpPeer.open(t);
  const clients = [await UdpClient.plain(t, port), await UdpClient.plain(t, port)];
  for (const client of clients) await client.ask();
  const noise = await UdpPeer.open(t);
  noise.send(Buffer.alloc(3), clients[0]!.relay!);
  noise.send(Buffer.from('0000000200000000', 'hex'), clients[0]!.relay!);
  await until(() => count('udp_turned_away_total', { reason: 'stranger' }) === 2);
  for (const [at, client] of clients.entries()) {
    client.send(target.endpoint, `${at}`);
    await target.hear(at + 1);
  }
  const [first, second] = target.heard;
  t.not(first?.from.port, second?.from.port, 'each has a port of its own');
  clients[0]!.connection.end();
  await until(() => count('udp_conventional') === 1);
  clients[1]!.send(target.endpoint, 'still');
  t.equal((await target.hear(3))[2], 'still');
});

t.test('there are no more than the limits say', async (t) => {
  const { port, count } = await node(t, { udp: { associations: 3, associationsPerAddress: 2 } });
  const ask = async (address: string) => {
    const client = await UdpClient.plain(t, port, { address });
    return { client, code: await client.ask() };
  };
  const first = await ask('127.0.0.1');
  const codes = [first.code];
  for (const address of ['127.0.0.1', '127.0.0.1', '127.0.0.2', '127.0.0.3']) {
    codes.push((await ask(address)).code);
  }
  t.same(codes, [0, 0, 1, 0, 1]);
  t.equal(count('udp_conventional_total', { event: 'address-limit' }), 1);
  t.equal(count('udp_conventional_total', { event: 'limit' }), 1);
  first.client.connection.end();
  await until(() => count('udp_conventional') === 2);
  t.equal((await ask('127.0.0.1')).code, 0);
});

const FILTERS: readonly [Filtering, number][] = [
  ['endpoint-independent', 2],
  ['address-dependent', 1],
  ['address-and-port-dependent', 0],
];

for (const [filtering, passing] of FILTERS) {
  t.test(`${filtering}: what others send reaches the client or is counted`, async (t) => {
    const { port, count } = await node(t, { udp: { filtering } });
    const target = await UdpPeer.open(t);
    const client = await UdpClient.plain(t, port);
    await client.ask();
    client.send(target.endpoint, 'x');
    await target.hear(1);
    const outgoing = target.heard[0]!.from;
    for (const address of ['127.0.0.1', '127.0.0.9']) {
      (await UdpPeer.open(t, address)).send('uninvited', outgoing);
    }
    const filtered = () => count('udp_turned_away_total', { reason: 'filtered' });
    await until(() => client.got.length + filtered() === 2);
    t.equal(client.got.length, passing);
  });
}

t.test('rules judge each destination, and the node itself is none', async (t) => {
  const rules: readonly Rule[] = [
    { ...ANYTHING, action: 'deny', networks: ['127.0.0.3/32'], commands: ['udp'] },
    LOOPBACK,
  ];
  const { port, count } = await node(t, { rules });
  const [allowed, denied] = [await UdpPeer.open(t), await UdpPeer.open(t, '127.0.0.3')];
  const client = await UdpClient.plain(t, port);
  t.equal(await client.ask(), 0);
  client.send(denied.endpoint, 'x');
  client.send({ address: '192.168.0.1', port: 53 }, 'x');
  client.send({ address: '127.0.0.1', port: 9 }, 'to what is protected');
  await until(() => count('udp_refused_total', { reason: 'rule' }) === 3);
  client.send(allowed.endpoint, 'x');
  await allowed.hear(1);
  t.same(denied.texts, []);
});

t.test('fragments in every order, and cut at every byte', async (t) => {
  const { port, count } = await node(t);
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  await client.ask();
  const dropped = () => count('udp_refused_total', { reason: 'fragment' });
  const parts = [1, 2, 0x83].map((frag) => to(target.endpoint, `<${frag & 0x7f}>`, frag));
  for (const order of [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ]) {
    for (const at of order) client.sendBytes(parts[at]!);
    client.send(target.endpoint, order.join(''));
  }
  await target.hear(7);
  t.same(target.texts, ['<1><2><3>', '012', '021', '102', '120', '201', '210']);
  t.equal(dropped(), 15);
  const whole = to(target.endpoint, '');
  for (let size = 2; size < whole.length; size += 1) client.sendBytes(whole.subarray(0, size));
  await until(() => count('udp_refused_total', { reason: 'truncated' }) === whole.length - 2);
  t.equal(target.texts.length, 7);
});

t.test('a datagram as large as there are comes and goes', async (t) => {
  const { port, count } = await node(t);
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  await client.ask();
  const text = 'x'.repeat(65_507 - 10);
  client.send(target.endpoint, text);
  await target.hear(1);
  t.equal(target.texts[0], text);
  target.answer(text);
  await client.peer.hear(1);
  t.equal(client.got[0]?.length, text.length + `127.0.0.1:${target.endpoint.port} `.length);
  target.answer(`${text}x`);
  await until(() => count('udp_port_unsent_total') === 1);
});

t.test('clients are told the address that the operator has configured', async (t) => {
  const { port } = await node(t, { udp: { addresses: ['127.0.0.5', '2001:db8::5'] } });
  const client = await UdpClient.plain(t, port);
  await client.ask();
  t.same(client.relay, { address: '127.0.0.5', port });
});

t.test('who is removed loses the association with his connection', async (t) => {
  const {
    node: running,
    port,
    count,
  } = await startNode(t, new FakeCluster(), {
    ...base,
    rules: [LOOPBACK],
    authentication: { methods: ['password'], users: userList(['ada', 'correct']) },
    socks: { ...base.socks, plainFrom: ['127.0.0.0/8'] },
  });
  const target = await UdpPeer.open(t);
  const bytes = new ByteClient(connect({ host: '127.0.0.1', port }));
  const client = new UdpClient(await UdpPeer.open(t), bytes);
  await client.socks.greet(2);
  t.equal(await client.socks.login('ada', 'correct'), 0);
  await client.ask();
  client.send(target.endpoint, 'x');
  await target.hear(1);
  t.match(running.views.conventional({ limit: 1 }), [{ user: 'ada' }]);
  await running.reloadUsers(userList());
  await until(() => count('udp_conventional') === 0);
  t.equal(count('udp_relays'), 0);
});

t.test('a stop leaves no socket behind, a drain serves on', async (t) => {
  const { node: running, port } = await node(t);
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  await client.ask();
  client.send(target.endpoint, 'before');
  await target.hear(1);
  const drained = running.drain();
  client.send(target.endpoint, 'during');
  t.same(await target.hear(2), ['before', 'during']);
  client.connection.end();
  await drained;
  await running.stop();
  const again = await DatagramSocket.open(
    { address: '127.0.0.1', port },
    { datagram: () => undefined },
  );
  again.close();
  t.pass('its port is free');
});

t.test('our own client and conventional ones share the port', async (t) => {
  const { port, count } = await node(t);
  const ours = await SocksClient.connect(pki, port, OURS);
  t.teardown(() => ours.end());
  await ours.greet(NONE);
  ours.sendChunk('request', 1, requestBytes(UDP, '0.0.0.0', 0));
  const { kind, payload } = await ours.nextChunk();
  t.same([kind, payload[1]], ['reply', 0]);
  const target = await UdpPeer.open(t);
  const client = await UdpClient.plain(t, port);
  await client.ask();
  client.sendBytes(Buffer.alloc(69, 0x97));
  client.send(target.endpoint, 'in clear');
  await target.hear(1);
  t.equal(count('udp_arrived_total', { kind: 'secure' }), 1);
  t.equal(count('udp_conventional'), 1);
});

t.test('a port that is free for TCP alone is none for a node', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const taken = await UdpPeer.open(t, '127.0.0.1', port);
  await new Promise((resolve) => server.close(resolve));
  const cluster = new FakeCluster();
  const started = new Node({
    ...{ host: new SystemHost(), log: SILENT, options: { ...base, listen: taken.endpoint } },
    cache: () => cluster.join(new FakeNodeCache(cluster)),
  });
  t.teardown(() => started.stop());
  await t.rejects(started.start(), { code: 'listen', message: /UDP/ });
});
