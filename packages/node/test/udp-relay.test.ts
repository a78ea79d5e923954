/** One association's way to its targets, with real sockets. */
import { formatAddress, parseAddress } from '@argyle/host';
import { ManualHost } from '@argyle/host/manual-host';
import t from 'tap';
import type { Filtering, PortRange, Rule } from '../src/options.ts';
import { REASSEMBLY_MS } from '../src/reassembly.ts';
import { LOOPBACK, relayScene } from './relay-scene.ts';
import { to, UdpPeer } from './udp-target.ts';
import { until } from './until.ts';

t.test('datagrams go and come, with the sender’s address', async (t) => {
  for (const address of ['127.0.0.1', '::1']) {
    const { relay, counters, got, opened } = relayScene(t);
    const target = await UdpPeer.open(t, address);
    t.equal(relay.outgoingPort, undefined);
    t.equal(relay.receivedAt, -Infinity);
    relay.handle(to(target.endpoint, 'question'));
    t.same(await target.hear(1), ['question']);
    t.equal(target.heard[0]?.from.port, relay.outgoingPort);
    t.same(opened, [relay.outgoingPort]);
    target.answer('answer');
    await until(() => got.length === 1);
    const text = formatAddress(parseAddress(address)!);
    t.same(got, [`${text}:${target.endpoint.port} answer`]);
    t.ok(relay.receivedAt > 0);
    t.match(counters, { toTargets: { datagrams: 1, bytes: 8 }, fromTargets: { bytes: 6 } });
  }
});

t.test('every target sees one port, and both families the same number', async (t) => {
  const { relay, opened } = relayScene(t);
  const targets = [];
  for (const address of ['127.0.0.1', '127.0.0.2', '::1']) {
    const target = await UdpPeer.open(t, address);
    relay.handle(to(target.endpoint, 'x'));
    await target.hear(1);
    targets.push(target);
  }
  const ports = new Set(targets.map(({ heard }) => heard[0]?.from.port));
  t.same([...ports], [relay.outgoingPort]);
  t.same(opened, [relay.outgoingPort, relay.outgoingPort]);
});

t.test('the wished port is taken if it is free, and never outside the range', async (t) => {
  const busy = await UdpPeer.open(t, '0.0.0.0');
  const free = await UdpPeer.open(t, '0.0.0.0');
  const target = await UdpPeer.open(t);
  const { port } = busy.endpoint;
  const wish = async (outgoingPort: number, ports?: PortRange) => {
    const { relay } = relayScene(t, { request: { outgoingPort }, ...(ports && { ports }) });
    const count = target.heard.length;
    relay.handle(to(target.endpoint, 'x'));
    await target.hear(count + 1);
    relay.close();
    return target.heard.at(-1)?.from.port;
  };
  t.not(await wish(port), port);
  const first = await wish(0);
  t.equal(await wish(first!), first);
  const from = free.endpoint.port;
  const ports = { from, to: Math.min(65_535, from + 200) };
  const chosen = (await wish(first === from ? 1 : first!, ports))!;
  t.ok(chosen > ports.from - 1 && chosen <= ports.to, `${chosen} of ${from} and more`);
});

t.test('without a free port nothing is sent, which is counted and tried again', async (t) => {
  const busy = await UdpPeer.open(t, '0.0.0.0');
  const target = await UdpPeer.open(t);
  const host = new ManualHost();
  const { port } = busy.endpoint;
  const { relay, refused } = relayScene(t, { host, ports: { from: port, to: port } });
  relay.handle(to(target.endpoint, 'a'));
  await until(() => refused('socket') === 1);
  relay.handle(to(target.endpoint, 'b'));
  t.equal(refused('socket'), 2, 'not at once');
  host.advance(1_000);
  relay.handle(to(target.endpoint, 'c'));
  await until(() => refused('socket') === 3);
  t.equal(target.heard.length, 0);
});

const FILTERS: readonly [Filtering, readonly string[]][] = [
  ['endpoint-independent', ['asked', 'other port', 'other address']],
  ['address-dependent', ['asked', 'other port']],
  ['address-and-port-dependent', ['asked']],
];

for (const [filtering, passes] of FILTERS) {
  t.test(`${filtering}: who may answer`, async (t) => {
    const { relay, counters, got } = relayScene(t, { filtering });
    const asked = await UdpPeer.open(t);
    relay.handle(to(asked.endpoint, 'x'));
    await asked.hear(1);
    const client = asked.heard[0]!.from;
    const others = { 'other port': '127.0.0.1', 'other address': '127.0.0.9' };
    for (const [text, address] of Object.entries(others)) {
      (await UdpPeer.open(t, address)).send(text, client);
    }
    asked.answer('asked');
    const all = () => got.length + counters.filtered;
    await until(() => all() === 3);
    t.same(got.map((text) => text.replace(/^\S+ /, '')).sort(), [...passes].sort());
    t.equal(counters.filtered, 3 - passes.length);
  });
}

t.test('a destination that was forgotten is let in no more, one in use is kept', async (t) => {
  const { relay, counters, got } = relayScene(t, { destinations: 2 });
  const [a, b, c] = [
    await UdpPeer.open(t, '127.0.0.2'),
    await UdpPeer.open(t, '127.0.0.3'),
    await UdpPeer.open(t, '127.0.0.4'),
  ];
  relay.handle(to(a.endpoint, 'x'));
  relay.handle(to(b.endpoint, 'x'));
  await a.hear(1);
  await b.hear(1);
  b.answer('b');
  await until(() => got.length === 1);
  // Both were used; the oldest of them makes room.
  relay.handle(to(c.endpoint, 'x'));
  await c.hear(1);
  a.answer('a');
  await until(() => counters.filtered === 1);
  b.answer('b');
  c.answer('c');
  await until(() => got.length === 3);
  t.equal(relay.destinations, 2);
});

t.test('rules, protected ports and special addresses hold for each destination', async (t) => {
  const target = await UdpPeer.open(t);
  const { port } = target.endpoint;
  const rules: readonly Rule[] = [
    { ...LOOPBACK, users: ['ann'], groups: ['staff'], commands: ['udp'] },
    { ...LOOPBACK, commands: ['connect', 'bind'] },
  ];
  const who = { user: 'ann', groups: () => ['staff'] };
  const { open, refused } = relayScene(t, { rules, guarded: [9] });
  const [ann, bob] = [open(who), open({ user: 'bob' })];
  bob.handle(to(target.endpoint, 'bob'));
  for (const address of ['192.168.1.1', '255.255.255.255', '224.0.0.251', '0.0.0.0', '::']) {
    ann.handle(to({ address, port }, 'special'));
  }
  ann.handle(to({ address: '127.0.0.1', port: 9 }, 'protected'));
  ann.handle(to({ address: '::ffff:127.0.0.1', port: 9 }, 'protected'));
  t.equal(refused('rule'), 8);
  ann.handle(to({ address: '127.0.0.1', port: 0 }, 'nowhere'));
  t.equal(refused('port'), 1);
  ann.handle(to(target.endpoint, 'ann'));
  t.same(await target.hear(1), ['ann']);
});

t.test('an only target is the only one', async (t) => {
  const [target, other] = [await UdpPeer.open(t), await UdpPeer.open(t)];
  const { address: host, port } = target.endpoint;
  const { relay, refused } = relayScene(t, { request: { target: { host, port } } });
  relay.handle(to(other.endpoint, 'x'));
  relay.handle(to({ address: 'localhost', port }, 'x'));
  relay.handle(to(target.endpoint, 'in', 1));
  relay.handle(to(target.endpoint, ' parts', 0x82));
  t.same(await target.hear(1), ['in parts']);
  t.equal(refused('target'), 2);
});

t.test('fragments are joined, and dropped with their time', async (t) => {
  const host = new ManualHost();
  const target = await UdpPeer.open(t);
  const { relay, refused } = relayScene(t, { host });
  relay.handle(to(target.endpoint, 'in', 1));
  relay.handle(to(target.endpoint, ' three', 2));
  relay.handle(to(target.endpoint, ' parts', 0x83));
  t.same(await target.hear(1), ['in three parts']);
  t.equal(host.armed, 0);
  relay.handle(to(target.endpoint, 'late', 1));
  t.equal(host.armed, 1);
  host.advance(REASSEMBLY_MS);
  t.equal(refused('fragment'), 1);
  relay.handle(to(target.endpoint, 'left', 1));
  relay.handle(to(target.endpoint, 'whole'));
  t.same(await target.hear(2), ['in three parts', 'whole']);
  t.equal(refused('fragment'), 2);
  relay.handle(to(target.endpoint, 'left', 1));
  relay.close();
  t.equal(host.armed, 0, 'nothing is left');
});

t.test('what is no SOCKS datagram is counted by what is wrong, at every byte', async (t) => {
  const { relay, refused } = relayScene(t);
  for (const address of ['127.0.0.1', '::1', 'here.example']) {
    const whole = to({ address, port: 53 }, '');
    const before = refused('truncated');
    for (let size = 0; size < whole.length; size += 1) relay.handle(whole.subarray(0, size));
    t.equal(refused('truncated'), before + whole.length);
  }
  relay.handle(Buffer.from('00010001', 'hex').fill(1));
  relay.handle(Buffer.from('0000000200000000', 'hex'));
  t.same([refused('reserved'), refused('address-type')], [0, 1]);
  relay.handle(Buffer.from('0100000100000000', 'hex'));
  t.equal(refused('reserved'), 1);
});

t.test('whatever a client sends, nothing breaks', async (t) => {
  const target = await UdpPeer.open(t);
  const { relay, counters } = relayScene(t, { rules: [] });
  const seeds = ['127.0.0.1', '::1', 'here.example'].map((address) => {
    return to({ address, port: target.endpoint.port }, 'data');
  });
  let state = 1;
  const next = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Buffer.from(seeds[next(seeds.length)]!);
    for (let changes = next(4); changes >= 0; changes -= 1) bytes[next(bytes.length)] = next(256);
    relay.handle(bytes.subarray(0, next(bytes.length + 1)));
  }
  relay.close();
  t.equal(counters.toTargets.datagrams, 0);
  t.ok(relay.destinations <= 64);
});

t.test('an empty datagram is one, and one that is too large is counted', async (t) => {
  const { relay, refused, got } = relayScene(t);
  const target = await UdpPeer.open(t);
  relay.handle(to(target.endpoint, ''));
  t.same(await target.hear(1), ['']);
  target.answer('');
  await until(() => got.length === 1);
  relay.handle(to(target.endpoint, 'x'.repeat(65_507)));
  t.equal((await target.hear(2))[1]?.length, 65_507);
  relay.handle(to(target.endpoint, 'x'.repeat(65_508)));
  await until(() => refused('size') === 1);
});

t.test('nothing is sent and nothing is left after the end', async (t) => {
  const { relays, relay, got } = relayScene(t);
  const target = await UdpPeer.open(t);
  relay.handle(to(target.endpoint, 'first'));
  await target.hear(1);
  t.equal(relays.size, 1);
  relay.close();
  relay.close();
  relay.handle(to(target.endpoint, 'second'));
  target.answer('late');
  const [fresh, witness] = [relayScene(t).relay, await UdpPeer.open(t)];
  fresh.handle(to(witness.endpoint, 'x'));
  await witness.hear(1);
  t.same([target.texts, got, relays.size], [['first'], [], 0]);
  const early = relayScene(t).relay;
  early.handle(to(target.endpoint, 'never'));
  early.close();
  fresh.handle(to(witness.endpoint, 'x'));
  await witness.hear(2);
  t.same(target.texts, ['first'], 'closed while its socket was being opened');
});
