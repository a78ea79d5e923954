/** Conventional and secure clients at one port, and all four suites in one cluster. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { decodeSocksDatagram } from '@argyle/secure-udp';
import t, { type Test } from 'tap';
import { ControlClient, type Login } from './control-client.ts';
import { Correspondent } from './correspondent.ts';
import { HandEpoch } from './hand-epoch.ts';
import { passwordOf } from './known-secrets.ts';
import { EchoTarget, NumberedStream } from './numbered.ts';
import { until } from './real-cluster.ts';
import { SocksDatagrams } from './socks-datagrams.ts';
import { UdpCluster } from './udp-cluster.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const DATAGRAMS = FULL ? 4_000 : 400;
/** On their way at once: few enough for every socket's buffer. */
const TOGETHER = 20;
const SETTLE_MS = 15_000;
const SUITES = ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305', 'aes-128-cbc-hmac-sha256'];
const NODES = [1, 2, 3, 4] as const;
const DATA = 1;
/** How the parties begin that our client serves. */
const OURS = 'our client: ';
t.setTimeout(FULL ? 600_000 : 110_000);

const target = await Correspondent.open();
const echo = await EchoTarget.open();
t.teardown(() => (target.close(), echo.close()));
let forwardPort = 0;
let numberedPort = 0;
const cluster = await UdpCluster.open(
  t,
  (free) => {
    [forwardPort, numberedPort] = [free, free + 1];
    return [
      `udp:${forwardPort}=127.0.0.1:${target.endpoint.port}`,
      `udp:${numberedPort}=127.0.0.1:${echo.port}`,
    ];
  },
  {
    count: NODES.length,
    node: (index) => `
socks:
  plainFrom: [127.0.0.0/8]
  udp: { clear: true, suite: ${SUITES[index - 1]} }
`,
  },
);
const { nodes } = cluster;
const ca = nodes.read('ca.pem');
const login: Login = { user: 'demo', password: passwordOf(nodes) };

/** Somebody who exchanges texts with the target. */
interface Party {
  readonly name: string;
  /** What came back. */
  readonly got: readonly string[];
  send(text: string): void;
}

t.test('conventional and secure clients at one port, both ways at once', async (t) => {
  const parties = await everyKind(t);
  const before = await Promise.all(NODES.map(figures));
  const resentBefore = await cluster.metric('client_datagrams_resent_total');
  await Promise.all(parties.map(exchange));
  for (let index = 0; index < DATAGRAMS; index += 1) {
    target.call(`call ${index}`);
    if ((index + 1) % TOGETHER > 0) continue;
    const all = () => parties.every(({ got }) => got.length > DATAGRAMS + index);
    await until('everybody has heard it', SETTLE_MS, all).catch(() => undefined);
  }
  // On a busy machine a node may be silent for so long that our client asks another one.
  const resent = (await cluster.metric('client_datagrams_resent_total')) - resentBefore;
  t.comment(`our client sent ${resent} again`);
  const numbered = (text: string) => Array.from({ length: DATAGRAMS }, (_, n) => `${text} ${n}`);
  for (const { name, got } of parties) {
    const once = name.startsWith(OURS) ? [...new Set(got)] : [...got];
    const wanted = [...numbered(name), ...numbered('call')];
    t.same(once.sort(), wanted.sort(), `${name}: all that is its own, and what the target says`);
  }
  const sent = parties.length * DATAGRAMS;
  const between = (value: number, low: number, high: number) => value >= low && value <= high;
  t.ok(between(target.heard.length, sent, sent + resent), 'nothing came to the target twice');
  t.ok(between(target.senders, parties.length, parties.length + resent), 'each is somebody else');

  const after = await Promise.all(NODES.map(figures));
  const grown = (name: keyof Figures) =>
    after.reduce((sum, figure, at) => sum + figure[name] - (before[at]?.[name] ?? 0), 0);
  t.equal(grown('toTarget'), target.heard.length, 'the nodes counted every datagram');
  const back = target.heard.length + target.senders * DATAGRAMS;
  t.ok(between(grown('toClient'), 2 * sent, back), 'and what came back');
  const [mixed] = after;
  t.ok(mixed && mixed.secure > DATAGRAMS && mixed.conventional > DATAGRAMS, 'at one port');
  t.equal(grown('dropped'), 0, 'nothing was taken for what it is not');
});

interface Figures {
  readonly toTarget: number;
  readonly toClient: number;
  readonly secure: number;
  readonly conventional: number;
  readonly dropped: number;
}

async function figures(index: number): Promise<Figures> {
  const metric = (name: string, label: string, value: string) =>
    nodes.metric(index, name, { [label]: value });
  const [toTarget, toClient, secure, conventional, other, strangers] = await Promise.all([
    metric('udp_datagrams_total', 'direction', 'to-target'),
    metric('udp_datagrams_total', 'direction', 'to-client'),
    metric('udp_arrived_total', 'kind', 'secure'),
    metric('udp_arrived_total', 'kind', 'conventional'),
    metric('udp_arrived_total', 'kind', 'other'),
    metric('udp_turned_away_total', 'reason', 'stranger'),
  ]);
  const refused = await nodes.metric(index, 'udp_refused_total');
  const dropped = other + strangers + refused;
  return { toTarget, toClient, secure, conventional, dropped };
}

/** At node 1 all of them; at the others those that can choose. */
async function everyKind(t: Test): Promise<Party[]> {
  const parties: Party[] = [await forwarded(t), ...(await mixing(t))];
  parties.push(await socks(t, `${OURS}application`, { port: cluster.clientPort }));
  for (const index of NODES) {
    const port = nodes.nodePort(index);
    parties.push(await socks(t, `conventional ${index}`, { port, login }));
    parties.push(await socks(t, `conventional over TLS ${index}`, { port, login, ca }));
  }
  return parties;
}

async function socks(
  t: Test,
  name: string,
  way: Parameters<typeof SocksDatagrams.open>[0],
): Promise<Party> {
  const client = await SocksDatagrams.open(way);
  t.teardown(() => client.close());
  return { name, got: client.got, send: (text) => client.send(target.endpoint, text) };
}

async function forwarded(t: Test): Promise<Party> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const got: string[] = [];
  socket.on('message', (bytes) => got.push(bytes.toString()));
  return {
    name: `${OURS}forward`,
    got,
    send: (text) => socket.send(text, forwardPort, '127.0.0.1'),
  };
}

/** One socket, with an epoch of its own at node 1 and an association in clear there. */
async function mixing(t: Test): Promise<Party[]> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const control = await ControlClient.connect(nodes, 1, login);
  t.teardown(() => control.close());
  t.equal(await control.ask({ kind: 'associate' }), 0);
  if (!control.grant) throw new Error('no grant');
  const node = { address: '127.0.0.1', port: nodes.nodePort(1) };
  const epoch = await HandEpoch.begin(node, control.grant, socket);
  const plain = await SocksDatagrams.open({ port: node.port, login, socket });
  t.teardown(() => plain.close());
  const sealed: Party = {
    name: 'mixes, sealed',
    get got() {
      return textsOf(epoch);
    },
    // Opening records are good until the node has spoken; which datagram that is, is open.
    send: (text) => {
      const type = epoch.heard.length === 0 ? 'opening' : 'sealed';
      epoch.send(epoch.seal(type, target.endpoint, text));
    },
  };
  const clear: Party = {
    name: 'mixes, in clear',
    got: plain.got,
    send: (text) => plain.send(target.endpoint, text),
  };
  return [sealed, clear];
}

function textsOf({ heard }: HandEpoch): string[] {
  return heard
    .filter(([kind]) => kind === DATA)
    .map((content) => decodeSocksDatagram(content.subarray(1)))
    .map((datagram) => (typeof datagram === 'string' ? datagram : datagram.data.toString()));
}

async function exchange(party: Party): Promise<void> {
  for (let index = 0; index < DATAGRAMS; index += 1) {
    party.send(`${party.name} ${index}`);
    if ((index + 1) % TOGETHER > 0 && index > 0) continue;
    const back = () => party.got.length > index;
    await until(`${party.name} is answered`, SETTLE_MS, back);
  }
}

t.test('four fragments in each order, sealed and in clear', async (t) => {
  const ways = [
    { title: 'sealed, through our client', port: cluster.clientPort },
    { title: 'in clear', port: nodes.nodePort(2), login },
  ];
  for (const { title, ...way } of ways) {
    const client = await SocksDatagrams.open(way);
    const fragments = () => sum('udp_refused_total', { reason: 'fragment' });
    const before = await fragments();
    const heard = target.heard.length;
    const wanted: string[] = [];
    let led = 0;
    for (const order of permutations([1, 2, 3, 4])) {
      for (const position of order) {
        const last = position === 4 ? 0x80 : 0;
        client.send(target.endpoint, `<${position}>`, position | last);
      }
      const inOrder = order.join('') === '1234';
      if (inOrder) wanted.push('<1><2><3><4>');
      if (inOrder) led += order.length;
      client.send(target.endpoint, order.join(''));
      wanted.push(order.join(''));
      await until('the whole one is back', SETTLE_MS, () => client.got.length >= wanted.length);
    }
    t.same(target.heard.slice(heard), wanted, `${title}: in order, or not at all`);
    t.same(client.got, wanted, 'answered as often');
    const lost = 24 * 4 - led;
    t.equal((await fragments()) - before, lost, `${lost} fragments that led to nothing`);
    client.close();
  }
});

function permutations(items: readonly number[]): number[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}

async function sum(name: string, labels: Record<string, string>): Promise<number> {
  const values = await Promise.all(NODES.map((index) => nodes.metric(index, name, labels)));
  return values.reduce((total, value) => total + value, 0);
}

interface Row {
  readonly suite: string;
  readonly owner: string;
}

/** Each node gives its own suite to what it makes, and goes on with what others made. */
t.test('associations of the four suites go on at any node', async (t) => {
  const streams: NumberedStream[] = [];
  t.teardown(() => streams.forEach((stream) => stream.close()));
  const used = new Set<string>();
  while (used.size < SUITES.length) {
    const stream = await NumberedStream.open(numberedPort, 20);
    streams.push(stream);
    stream.start();
    await goOn(streams);
    const rows = await associations(await alive(), streams.length);
    const added = rows.find(({ suite }) => !used.has(suite));
    t.ok(added, `one more suite: ${added?.suite}`);
    if (!added) return;
    used.add(added.suite);
    if (used.size < SUITES.length) await die(SUITES.indexOf(added.suite) + 1);
    await goOn(streams);
  }
  const last = await alive();
  await nodes.up(NODES.length);
  await until('all are together', 2 * SETTLE_MS, async () => {
    const views = await Promise.all(NODES.map((index) => nodes.cluster(index)));
    return views.every(({ view }) => view.members.length === NODES.length);
  });
  await cluster.prepared();
  await die(last);
  await goOn(streams);
  const rows = await associations(await alive(), streams.length);
  t.same(rows.map(({ suite }) => suite).sort(), [...SUITES].sort(), 'each with its own suite');
  t.comment(`owners: ${rows.map(({ suite, owner }) => `${suite} at ${owner}`).join(', ')}`);
  const moves = (await cluster.view()).udp.moves;
  t.comment(`moves: ${JSON.stringify(moves)}`);
  for (const stream of streams) stream.stop();
  const lost = streams.map((stream) => stream.lost.length);
  t.comment(`lost: ${lost.join(', ')} of ${streams.map(({ sentAt }) => sentAt.length).join(', ')}`);
});

/** Each stream comes back after this. */
async function goOn(streams: readonly NumberedStream[]): Promise<void> {
  const from = streams.map(({ sentAt }) => sentAt.length);
  await until('every stream goes on', SETTLE_MS, () =>
    streams.every(({ returns }, at) => [...returns.keys()].some((n) => n > (from[at] ?? 0) + 5)),
  );
}

async function die(index: number): Promise<void> {
  process.kill(cluster.pid(index), 'SIGKILL');
  await until('it is gone', SETTLE_MS, async () => {
    return (await nodes.cluster(index).catch(() => undefined)) === undefined;
  });
}

/** Any node that answers. */
async function alive(): Promise<number> {
  for (const index of NODES) {
    if (await nodes.cluster(index).catch(() => undefined)) return index;
  }
  throw new Error('no node is left');
}

/** Those of the streams, as that node knows them. */
async function associations(index: number, count: number): Promise<readonly Row[]> {
  let rows: readonly (Row & { readonly target?: string })[] = [];
  await until('their records are there', SETTLE_MS, async () => {
    rows = await nodes.view(index, '/api/v1/associations');
    rows = rows.filter((row) => row.target === `127.0.0.1:${echo.port}` && row.owner !== '');
    return rows.length === count;
  });
  return rows;
}
