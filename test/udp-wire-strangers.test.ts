import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '@argyle/host';
import type { Grant } from '@argyle/secure-udp';
import t, { type Test } from 'tap';
import { ControlClient, type Login } from './control-client.ts';
import { Forger, type Forged } from './forger.ts';
import { HandEpoch } from './hand-epoch.ts';
import { passwordOf } from './known-secrets.ts';
import { EchoTarget, NumberedStream } from './numbered.ts';
import { missing, until } from './real-cluster.ts';
import { UdpCluster } from './udp-cluster.ts';
import { adoptionProof, hello } from './wire-record.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const FORGED = FULL ? 2_000 : 200;
const NODES = [1, 2, 3] as const;
const SETTLE_MS = 10_000;
const VICTIM = '127.0.0.66';
/** What a generous target answers to one datagram. */
const ANSWERS = 20;
const ANSWER_BYTES = 1_200;
const END = 6;
const DELETED = 2;
t.setTimeout(FULL ? 300_000 : 110_000);

const noTool = await missing('cc');

t.test('strangers, forgers and thieves', { skip: noTool }, async (t) => {
  const target = await EchoTarget.open();
  t.teardown(() => target.close());
  let port = 0;
  const cluster = await UdpCluster.open(t, (free) => {
    port = free;
    return [`udp:${free}=127.0.0.1:${target.port}`];
  });
  const { nodes } = cluster;
  const demo: Login = { user: 'demo', password: passwordOf(nodes) };
  const owner = await ControlClient.connect(nodes, 1, demo);
  t.teardown(() => owner.close());
  t.equal(await owner.ask({ kind: 'associate' }), 0, 'an association by hand');
  const { grant } = owner;
  if (!grant) throw new Error('no grant');

  await t.test('who forges an address brings it no more than is sent in its name', async (t) => {
    const forger = await Forger.make();
    t.teardown(() => forger.remove());
    for (const forge of [forgeHellos, forgeOpening, forgeMove]) {
      const victim = await Victim.open();
      const { title, sent } = await forge(cluster, grant, victim, forger);
      // As long as an owner goes on saying something after a payload, there is more to come.
      await sleep(FULL ? 11_000 : 2_000);
      victim.close();
      t.comment(`${title}: ${sent} bytes in its name, ${victim.bytes} to it`);
      t.ok(victim.bytes > 0, 'it is asked, or answered');
      t.ok(victim.bytes <= sent, title);
    }
  });

  await t.test('another user adopts nothing by an id', async (t) => {
    await stealAssociation(t, cluster, grant, demo);
  });

  await t.test('nothing is left of a removed user', async (t) => {
    const stream = await NumberedStream.open(port, 20);
    t.teardown(() => stream.close());
    stream.start();
    await until('datagrams come back', SETTLE_MS, () => stream.returns.size > 10);
    await removeUser(t, cluster, { grant, demo, target, stream });
  });
});

/** Somebody who has asked for nothing. */
class Victim {
  bytes = 0;
  readonly #socket: Socket;

  static async open(): Promise<Victim> {
    const socket = createSocket('udp4').bind(0, VICTIM);
    await once(socket, 'listening');
    return new Victim(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', ({ length }) => (this.bytes += length));
  }

  get endpoint(): Endpoint {
    return { address: VICTIM, port: this.#socket.address().port };
  }

  close(): void {
    this.#socket.close();
  }
}

type Forge = (
  cluster: UdpCluster,
  grant: Grant,
  victim: Victim,
  forger: Forger,
) => Promise<{ readonly title: string; readonly sent: number }>;

/** By whoever has seen an id. */
const forgeHellos: Forge = async ({ nodes }, { id }, victim, forger) => {
  const forged: Forged[] = [];
  for (const index of NODES) {
    const to = { address: '127.0.0.1', port: nodes.nodePort(index) };
    const from = victim.endpoint;
    for (let count = 0; count < FORGED; count += 1) {
      const whole = hello(id, BigInt(count));
      const unknown = Buffer.concat([
        hello(id, 7n).subarray(0, 13),
        randomBytes(8),
        Buffer.alloc(48),
      ]);
      const short = Buffer.from(whole.subarray(0, 29 + (count % 40)));
      short.writeUInt16BE(short.length - 5, 3);
      for (const bytes of [whole, unknown, short, Buffer.concat([whole, whole])]) {
        forged.push({ from, to, bytes });
      }
    }
  }
  await forger.send(forged);
  return { title: 'HELLOs of a stranger', sent: sizeOf(forged) };
};

/** By the client itself, which has a TAKE and opens the epoch in the victim's name. */
const forgeOpening: Forge = async ({ nodes }, grant, victim, forger) => {
  const target = await generous();
  const to = { address: '127.0.0.1', port: nodes.nodePort(2) };
  const epoch = await HandEpoch.begin(to, grant);
  const forged = Array.from({ length: FORGED }, () => ({
    ...{ from: victim.endpoint, to },
    bytes: epoch.seal('opening', target.endpoint, 'much, please'),
  }));
  await forger.send(forged);
  await until('the target has been asked', SETTLE_MS, () => target.asked() > 0);
  epoch.close();
  target.close();
  return { title: 'an epoch opened in its name', sent: sizeOf(forged) };
};

/** By the client, from an address that is proven and then from the victim's. */
const forgeMove: Forge = async ({ nodes }, grant, victim, forger) => {
  const target = await generous();
  const to = { address: '127.0.0.1', port: nodes.nodePort(3) };
  const epoch = await HandEpoch.begin(to, grant);
  epoch.send(epoch.seal('opening', target.endpoint, 'much, please'));
  await until('the client is served', SETTLE_MS, () => epoch.heard.length >= ANSWERS);
  const asked = target.asked();
  const forged = Array.from({ length: FORGED }, () => ({
    ...{ from: victim.endpoint, to },
    bytes: epoch.seal('sealed', target.endpoint, 'much, please'),
  }));
  await forger.send(forged);
  await until('the target has been asked', SETTLE_MS, () => target.asked() > asked);
  epoch.close();
  target.close();
  return { title: 'an epoch moved to it', sent: sizeOf(forged) };
};

async function generous() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  let asked = 0;
  socket.on('message', (_bytes, from) => {
    asked += 1;
    for (let count = 0; count < ANSWERS; count += 1) {
      socket.send(Buffer.alloc(ANSWER_BYTES), from.port, from.address);
    }
  });
  const { address, port } = socket.address();
  return { endpoint: { address, port }, asked: () => asked, close: () => socket.close() };
}

function sizeOf(forged: readonly Forged[]): number {
  return forged.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** With another's login, with and without the secret; and its own user without it. */
async function stealAssociation(
  t: Test,
  { nodes }: UdpCluster,
  { id, secret }: Grant,
  demo: Login,
): Promise<void> {
  const made = await nodes.script('argyle', 'user', 'add', 'mallory');
  t.equal(made.code, 0, 'another user');
  const mallory: Login = { user: 'mallory', password: made.output.trim() };
  const right = (exported: Buffer) => adoptionProof(secret, id, exported);
  const earlier = right(randomBytes(32));
  const cases: readonly {
    readonly who: Login;
    readonly association?: string;
    readonly proof: (exported: Buffer) => Buffer;
    readonly result: 'user' | 'proof' | 'unknown' | 'adopted';
  }[] = [
    { who: mallory, proof: () => randomBytes(32), result: 'user' },
    { who: mallory, proof: right, result: 'user' },
    { who: demo, proof: () => randomBytes(32), result: 'proof' },
    { who: demo, proof: () => earlier, result: 'proof' },
    { who: demo, association: 'f'.repeat(16), proof: right, result: 'unknown' },
    { who: demo, proof: right, result: 'adopted' },
  ];
  for (const index of NODES) {
    for (const { who, association = id, proof, result } of cases) {
      const counted = () => nodes.metric(index, 'udp_associations_total', { result });
      const before = await counted();
      const thief = await untilLogin(nodes, index, who);
      const code = await thief.ask({ kind: 'adopt', association, proof: proof(thief.exported) });
      t.equal(code === 0, result === 'adopted', `${who.user}: ${result}`);
      t.equal(await counted(), before + 1, `node-${index} counts it`);
      thief.close();
      t.equal(thief.grant, undefined, 'nobody is told the secret again');
    }
  }
}

async function untilLogin(nodes: UdpCluster['nodes'], index: number, who: Login) {
  let client: ControlClient | undefined;
  await until(`${who.user} is let in`, SETTLE_MS, async () => {
    client = await ControlClient.connect(nodes, index, who).catch(() => undefined);
    return client !== undefined;
  });
  if (!client) throw new Error('no login');
  return client;
}

/** While an association is served at one node, and has its control connection at another. */
async function removeUser(
  t: Test,
  cluster: UdpCluster,
  {
    grant,
    demo,
    target,
    stream,
  }: {
    readonly grant: Grant;
    readonly demo: Login;
    readonly target: EchoTarget;
    readonly stream: NumberedStream;
  },
): Promise<void> {
  const { nodes } = cluster;
  const destination = { address: '127.0.0.1', port: target.port };
  const epochs = await Promise.all(
    NODES.map((index) => {
      return HandEpoch.begin({ address: '127.0.0.1', port: nodes.nodePort(index) }, grant);
    }),
  );
  t.teardown(() => epochs.forEach((epoch) => epoch.close()));
  for (const epoch of epochs) epoch.send(epoch.seal('opening', destination, 'hello'));
  await until('each node serves', SETTLE_MS, () => epochs.every(({ heard }) => heard.length > 1));
  const control = await ControlClient.connect(nodes, 2, demo);
  t.teardown(() => control.close());
  const proof = adoptionProof(grant.secret, grant.id, control.exported);
  t.equal(await control.ask({ kind: 'adopt', association: grant.id, proof }), 0);
  const rows = async (index: number) => {
    const view = await nodes.view<{ user?: string }[]>(index, '/api/v1/associations');
    return view.filter(({ user }) => user === 'demo').length;
  };
  for (const index of NODES) t.equal(await rows(index), 2, `node-${index} knows both`);

  const { code, output } = await nodes.script('argyle', 'user', 'remove', 'demo');
  t.equal(code, 0, output);
  for (const index of NODES) {
    await until(`node-${index} knows none`, SETTLE_MS, async () => (await rows(index)) === 0);
  }
  const told = (epoch: HandEpoch) => epoch.heard.some((content) => content[0] === END);
  await until('each epoch is ended', SETTLE_MS, () => epochs.every(told));
  for (const { heard } of epochs) {
    t.same([...(heard.at(-1) ?? [])], [END, DELETED], 'the client is told, and that is the last');
  }
  await until('its control connection is gone', SETTLE_MS, () => control.closed);
  t.comment(`on its control connection: ${control.ended ?? 'nothing'}`);
  await until('the forwarding client has none', SETTLE_MS, async () => {
    return (await cluster.view()).udp.associations === 0;
  });
  t.ok(await cluster.metric('client_associations_ended_total', { reason: 'deleted' }), 'it knows');
  await goesNowhere(t, cluster, { epochs, destination, target, stream });
}

async function goesNowhere(
  t: Test,
  { nodes }: UdpCluster,
  {
    epochs,
    destination,
    target,
    stream,
  }: {
    readonly epochs: readonly HandEpoch[];
    readonly destination: Endpoint;
    readonly target: EchoTarget;
    readonly stream: NumberedStream;
  },
): Promise<void> {
  const heard = [...target.arrivals.values()].flat().length;
  const dropped = (index: number) => {
    return nodes.metric(index, 'udp_dropped_total', { reason: 'association' }).catch(() => 0);
  };
  const before = await Promise.all(NODES.map(dropped));
  const sent = stream.sentAt.length;
  for (const epoch of epochs) {
    const bytes = epoch.seal('sealed', destination, 'is anybody still there?');
    for (const { node } of epochs) epoch.send(bytes, node);
  }
  await until('each node has dropped each', SETTLE_MS, async () => {
    const after = await Promise.all(NODES.map(dropped));
    return after.every((count, at) => count >= (before[at] ?? 0) + epochs.length);
  });
  await until('the application has gone on', SETTLE_MS, () => stream.sentAt.length > sent + 50);
  t.equal([...target.arrivals.values()].flat().length, heard, 'the target hears nothing more');
}
