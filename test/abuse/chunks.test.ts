/** Tunnels side by side on one connection of our own client, as a stranger would speak it. */
import t, { type Test } from 'tap';
import { Random } from '@argyle/simulator';
import { until } from '../real-cluster.ts';
import { AbusedCluster } from './abused-cluster.ts';
import { Destination } from './destination.ts';
import { AT_ONCE_MS, Echo, visitNode } from './good-client.ts';
import { nonZero } from './metrics.ts';
import { atOnce, survives } from './ordeal.ts';
import { Peer, type Ending } from './peer.ts';
import { greeting, METHOD_NONE, REPLY_BYTES, request, SUCCEEDED } from './socks.ts';
import { tunnelOver } from './tunnel-scenario.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const RANDOM = FULL ? 2_000 : 200;
const SEED = Number(process.env['ARGYLE_TEST_SEED'] ?? 1);
const TUNNELS = 50;
/** Requests whose replies no buffers on the way hold. */
const FLOOD = 2_000_000;
const CUT_MS = 60_000;
const OURS = { ALPNProtocols: ['argyle/1'] };
const [DATA, END, RESET, CREDIT, REQUEST, REPLY, BLOCKED] = [0, 1, 2, 3, 4, 5, 6] as const;
const HEADER_BYTES = 8;
const WORDS = Buffer.from('said in a chunk');
t.setTimeout(FULL ? 300_000 : 90_000);

const cluster = await AbusedCluster.open();
const node = await cluster.node();
const echo = await Echo.open();
const silent = await Destination.open();
const atNode = { process: node, visit: () => visitNode(cluster, echo.port) };
t.teardown(() => cluster.close());
t.teardown(() => silent.close());
t.teardown(() => echo.close());

t.test(`${TUNNELS} tunnels on one connection, byte by byte`, async (t) => {
  const [counted] = await survives(t, [atNode], async () => {
    const peer = await Peer.tls(cluster.nodePort, cluster.ca, OURS);
    peer.send(greeting(METHOD_NONE), 1);
    await peer.read(2);
    for (let tunnel = 0; tunnel < TUNNELS; tunnel += 1) {
      const id = 1 + tunnel;
      await asked(peer, id, echo.port, tunnel % 2 ? 1 : Infinity);
      const words = Buffer.concat([chunk(DATA, id, WORDS), chunk(END, id)]);
      peer.send(words, tunnel % 3 ? 1 : Infinity);
      const { payload, ended } = await answer(peer);
      if (!ended || !payload.equals(WORDS)) throw new Error(`${payload} (${ended})`);
    }
    await peer.leave('close-notify');
  });
  t.same(nonZero(counted!.by('tunnels_total')), { ended: TUNNELS + 1 });
  t.equal(counted!.sum('tls_handshakes_total'), 2);
});

const SAID = chunk(DATA, 1, WORDS);
const ENDED = chunk(END, 1);

t.test('chunks that make no sense break off what the connection carries', async (t) => {
  const senseless: readonly Buffer[] = [
    chunk(DATA, 1),
    Buffer.of(DATA, 0, 0, 1, 0, 0x10, 0, 1),
    chunk(DATA, 0, WORDS),
    chunk(END, 1, WORDS),
    chunk(CREDIT, 1),
    chunk(CREDIT, 1, Buffer.alloc(5)),
    chunk(7, 1),
    chunk(BLOCKED, 1, Buffer.alloc(1)),
    Buffer.alloc(HEADER_BYTES, 255),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    chunk(REQUEST, 1, request(silent.port)),
    chunk(REQUEST, 2),
    chunk(REQUEST, 2, Buffer.alloc(263)),
    Buffer.concat([SAID, chunk(8, 1)]),
    Buffer.concat([ENDED, chunk(REQUEST, 1, request(silent.port))]),
  ];
  const [counted] = await survives(t, [atNode], async () => {
    for (const bytes of senseless) {
      for (const pieceBytes of [Infinity, 1]) await play(t, bytes, pieceBytes, 'silence');
    }
  });
  t.same(nonZero(counted!.by('tunnels_total')), { reset: 2 * senseless.length, ended: 1 });
  t.equal(counted!.by('socks_unfinished_total')['malformed'], 2 * senseless.length);
});

t.test('chunks that make no sense in a tunnel break it off, and no other', async (t) => {
  const senseless: readonly Buffer[] = [
    Buffer.concat([ENDED, SAID]),
    Buffer.concat([ENDED, ENDED]),
    chunk(REPLY, 1, Buffer.of(5, 0)),
    chunk(REPLY, 1, Buffer.of(5, 1)),
    chunk(CREDIT, 1, Buffer.alloc(4)),
    chunk(CREDIT, 1, Buffer.alloc(4, 255)),
  ];
  const [counted] = await survives(t, [atNode], async () => {
    for (const bytes of senseless) {
      for (const pieceBytes of [Infinity, 1]) {
        const { peer, target } = await opened();
        await asked(peer, 2, echo.port);
        peer.send(bytes, pieceBytes);
        t.same([...(await peer.read(HEADER_BYTES))], [...chunk(RESET, 1)], bytes.toString('hex'));
        await target.left();
        target.stream.destroy();
        peer.send(Buffer.concat([chunk(DATA, 2, WORDS), chunk(END, 2)]));
        t.ok((await answer(peer)).payload.equals(WORDS));
        await peer.leave('close-notify');
      }
    }
  });
  const count = 2 * senseless.length;
  t.same(nonZero(counted!.by('tunnels_total')), { reset: count, ended: count + 1 });
});

t.test('what comes for no tunnel is ignored', async (t) => {
  await survives(t, [atNode], async () => {
    const peer = await Peer.tls(cluster.nodePort, cluster.ca, OURS);
    peer.send(greeting(METHOD_NONE));
    await peer.read(2);
    for (const kind of [END, RESET, BLOCKED]) peer.send(chunk(kind, 9));
    peer.send(chunk(CREDIT, 9, Buffer.alloc(4, 255)));
    peer.send(chunk(DATA, 9, WORDS));
    peer.send(chunk(REPLY, 9, WORDS));
    await asked(peer, 1, echo.port);
    peer.send(Buffer.concat([SAID, ENDED]));
    t.ok((await answer(peer)).payload.equals(WORDS));
    await peer.leave('close-notify');
  });
});

t.test('a connection that is cut within a chunk breaks off what it carries', async (t) => {
  const whole = Buffer.concat([SAID, ENDED]);
  let tunnels = 0;
  const [counted] = await survives(t, [atNode], async () => {
    for (const ending of ['close-notify', 'fin', 'reset'] as const) {
      for (let cut = 0; cut < whole.length; cut += 1) {
        await play(t, whole.subarray(0, cut), 1, ending);
        tunnels += 1;
      }
    }
  });
  t.same(nonZero(counted!.by('tunnels_total')), { reset: tunnels, ended: 1 });
});

t.test(`${RANDOM} connections of random chunks`, async (t) => {
  const random = new Random(SEED);
  const [counted] = await survives(t, [atNode], () =>
    atOnce(RANDOM, 16, async () => {
      const peer = await Peer.tls(cluster.nodePort, cluster.ca, OURS);
      peer.send(greeting(METHOD_NONE));
      await peer.read(2);
      await asked(peer, 1, echo.port);
      const parts = Array.from({ length: 1 + random.below(8) }, () => {
        const bytes = Buffer.from(random.bytes(1 + random.below(300)));
        const id = 1 + random.below(4);
        return random.pick([
          bytes,
          chunk(DATA, id, bytes),
          chunk(DATA, id, bytes),
          chunk(REQUEST, id, request(echo.port)),
          chunk(random.below(8), id),
          chunk(CREDIT, id, Buffer.from(random.bytes(4))),
        ]);
      });
      peer.send(Buffer.concat(parts), random.pick([Infinity, 7]));
      await peer.leave(random.pick(['close-notify', 'fin', 'reset'] as const));
    }),
  );
  const ends = counted!.by('tunnels_total');
  t.comment('tunnels: ', JSON.stringify(nonZero(ends)));
  t.ok(counted!.sum('tunnels_total') > RANDOM);
  t.equal(counted!.by('socks_requests_total')['succeeded'], counted!.sum('tunnels_total'));
  t.equal(counted!.sum('tls_handshakes_total'), RANDOM + 1);
});

// In small it takes too long to fill the buffers.
if (FULL) {
  t.test('who asks and asks and reads no reply is cut off', async (t) => {
    const [counted] = await survives(t, [atNode], async () => {
      const one = chunk(REQUEST, 1, request(0));
      const flood = Buffer.alloc(FLOOD * one.length, one);
      for (let id = 1; id <= FLOOD; id += 1) flood.writeUIntBE(id, (id - 1) * one.length + 1, 3);
      const peer = await Peer.tls(cluster.nodePort, cluster.ca, OURS);
      peer.send(greeting(METHOD_NONE));
      await peer.read(2);
      peer.stream.pause();
      peer.send(flood);
      const visitMs = await atNode.visit();
      t.ok(visitMs < AT_ONCE_MS, `a good client is served meanwhile in ${visitMs.toFixed()} ms`);
      const open = () => node.metrics().then((metrics) => metrics.sum('connections'));
      await until('the node has cut it', CUT_MS, async () => (await open()) === 0);
      peer.stream.destroy();
    });
    const served = counted!.by('socks_requests_total')['not-allowed'] ?? 0;
    t.comment(`${served} of ${FLOOD} requests were answered`);
    t.ok(served > 0 && served < FLOOD);
  });
}

t.test('and then it stops as it should', async (t) => {
  t.same(await cluster.close(), [0]);
});

/** A connection with a tunnel to the silent destination. */
async function opened(): Promise<{ peer: Peer; target: Peer }> {
  const peer = await Peer.tls(cluster.nodePort, cluster.ca, OURS);
  peer.send(greeting(METHOD_NONE));
  await peer.read(2);
  await asked(peer, 1, silent.port);
  return { peer, target: await silent.next() };
}

async function play(t: Test, bytes: Buffer, pieceBytes: number, ending: Ending): Promise<void> {
  const { peer, target } = await opened();
  peer.send(bytes, pieceBytes);
  await peer.leave(ending);
  await tunnelOver(node);
  await target.left();
  // Only END is an end; who has had it learns nothing of what came after.
  const expected = bytes.indexOf(ENDED) === -1 ? 'ECONNRESET' : undefined;
  t.equal(target.failure, expected, `${bytes.toString('hex')} ${ending}`);
  target.stream.destroy();
}

async function asked(peer: Peer, id: number, port: number, pieceBytes = Infinity): Promise<void> {
  peer.send(chunk(REQUEST, id, request(port)), pieceBytes);
  const reply = await peer.read(HEADER_BYTES + REPLY_BYTES);
  if (reply[0] !== REPLY || reply[HEADER_BYTES + 1] !== SUCCEEDED) {
    throw new Error(`reply ${reply.toString('hex')}`);
  }
}

/** Up to END. */
async function answer(peer: Peer): Promise<{ payload: Buffer; ended: boolean }> {
  let bytes: Buffer = Buffer.alloc(0);
  const parts: Buffer[] = [];
  const whole = async (sizeBytes: number) => {
    while (bytes.length < sizeBytes) {
      bytes = Buffer.concat([bytes, await peer.read(sizeBytes - bytes.length)]);
    }
  };
  for (;;) {
    await whole(HEADER_BYTES);
    const length = bytes.readUInt32BE(4);
    if (bytes[0] === END) return { payload: Buffer.concat(parts), ended: length === 0 };
    await whole(HEADER_BYTES + length);
    parts.push(bytes.subarray(HEADER_BYTES, HEADER_BYTES + length));
    bytes = bytes.subarray(HEADER_BYTES + length);
  }
}

function chunk(kind: number, tunnel: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(kind * 2 ** 24 + tunnel);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}
