/** Tunnel after tunnel on one connection of our own client, as a stranger would speak it. */
import t from 'tap';
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
const END = Buffer.of(1, 0, 0, 0);
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
      await asked(peer, echo.port, tunnel % 2 ? 1 : Infinity);
      peer.send(Buffer.concat([data(WORDS), END]), tunnel % 3 ? 1 : Infinity);
      const { payload, ended } = await answer(peer);
      if (!ended || !payload.equals(WORDS)) throw new Error(`${payload} (${ended})`);
    }
    await peer.leave('close-notify');
  });
  t.same(nonZero(counted!.by('tunnels_total')), { ended: TUNNELS + 1 });
  t.equal(counted!.sum('tls_handshakes_total'), 2);
});

t.test('chunks that make no sense, and chunks that are cut, break the tunnel off', async (t) => {
  const wrong: readonly Buffer[] = [
    Buffer.of(0, 0, 0, 0),
    Buffer.of(1, 0, 0, 1, 0x61),
    Buffer.of(2, 0, 0, 0),
    Buffer.of(255, 255, 255, 255),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.concat([END, data(WORDS)]),
    Buffer.concat([END, END]),
    Buffer.concat([END, request(silent.port)]),
    Buffer.concat([data(WORDS), Buffer.of(3, 0, 0, 0)]),
  ];
  const whole = Buffer.concat([data(WORDS), END]);
  const cuts = Array.from({ length: whole.length }, (_, cut) => whole.subarray(0, cut));
  let tunnels = 0;
  const play = async (bytes: Buffer, pieceBytes: number, ending: Ending) => {
    const peer = await Peer.tls(cluster.nodePort, cluster.ca, OURS);
    peer.send(greeting(METHOD_NONE));
    await peer.read(2);
    await asked(peer, silent.port);
    const target = await silent.next();
    tunnels += 1;
    peer.send(bytes, pieceBytes);
    await peer.leave(ending);
    await tunnelOver(node);
    await target.left();
    // Only END is an end; who has had it learns nothing of what came after.
    const expected = bytes.indexOf(END) === -1 ? 'ECONNRESET' : undefined;
    t.equal(target.failure, expected, `${bytes.toString('hex')} ${ending}`);
    target.stream.destroy();
  };
  const [counted] = await survives(t, [atNode], async () => {
    for (const bytes of wrong) {
      for (const pieceBytes of [Infinity, 1]) await play(bytes, pieceBytes, 'silence');
    }
    for (const ending of ['close-notify', 'fin', 'reset'] as const) {
      for (const cut of cuts) await play(cut, 1, ending);
    }
  });
  t.same(nonZero(counted!.by('tunnels_total')), { reset: tunnels, ended: 1 });
});

t.test(`${RANDOM} tunnels of random chunks`, async (t) => {
  const random = new Random(SEED);
  const [counted] = await survives(t, [atNode], () =>
    atOnce(RANDOM, 16, async () => {
      const peer = await Peer.tls(cluster.nodePort, cluster.ca, OURS);
      peer.send(greeting(METHOD_NONE));
      await peer.read(2);
      await asked(peer, echo.port);
      const parts = Array.from({ length: 1 + random.below(5) }, () => {
        const bytes = Buffer.from(random.bytes(1 + random.below(300)));
        return random.pick([bytes, data(bytes), data(bytes), END]);
      });
      peer.send(Buffer.concat(parts), random.pick([Infinity, 7]));
      await peer.leave(random.pick(['close-notify', 'fin', 'reset'] as const));
    }),
  );
  const ends = counted!.by('tunnels_total');
  t.comment('tunnels: ', JSON.stringify(nonZero(ends)));
  t.equal(counted!.by('socks_requests_total')['succeeded'], counted!.sum('tunnels_total'));
  t.equal(counted!.sum('tls_handshakes_total'), RANDOM + 1);
});

// In small it takes too long to fill the buffers.
if (FULL) {
  t.test('who asks and asks and reads no reply is cut off', async (t) => {
    const [counted] = await survives(t, [atNode], async () => {
      const one = request(0);
      const flood = Buffer.alloc(FLOOD * one.length, one);
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

async function asked(peer: Peer, port: number, pieceBytes = Infinity): Promise<void> {
  peer.send(request(port), pieceBytes);
  const [, reply] = await peer.read(REPLY_BYTES);
  if (reply !== SUCCEEDED) throw new Error(`reply ${reply}`);
}

/** Up to END. */
async function answer(peer: Peer): Promise<{ payload: Buffer; ended: boolean }> {
  let bytes = await peer.read(4);
  const parts: Buffer[] = [];
  for (;;) {
    if (bytes.length < 4) bytes = Buffer.concat([bytes, await peer.read(4 - bytes.length)]);
    const length = bytes.readUIntBE(1, 3);
    if (bytes[0] === 1) return { payload: Buffer.concat(parts), ended: length === 0 };
    while (bytes.length < 4 + length) {
      bytes = Buffer.concat([bytes, await peer.read(4 + length - bytes.length)]);
    }
    parts.push(bytes.subarray(4, 4 + length));
    bytes = bytes.subarray(4 + length);
  }
}

function data(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0, 0, payload.length >> 8, payload.length & 0xff), payload]);
}
