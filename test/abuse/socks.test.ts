/** SOCKS in TLS, and at a client's port, that stops at any byte or comes byte by byte. */
import type { ConnectionOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { AbusedCluster } from './abused-cluster.ts';
import { Echo, visitClient, visitNode } from './good-client.ts';
import { nonZero, Tally, type Metrics } from './metrics.ts';
import { atOnce, survives } from './ordeal.ts';
import { ENDINGS, Peer } from './peer.ts';
import { greeting, login, METHOD_NONE, METHOD_PASSWORD, REPLY_BYTES, request } from './socks.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const AT_ONCE = 100;
const VERSIONS: readonly ConnectionOptions[] = [
  { maxVersion: 'TLSv1.2' },
  { maxVersion: 'TLSv1.3' },
  { ALPNProtocols: ['argyle/1'] },
].slice(FULL ? 0 : 1, FULL ? 3 : 2) as readonly ConnectionOptions[];
/** Silence takes its time: in small not at every byte. */
const SILENT_EACH = FULL ? 1 : 3;
const PIECES = FULL ? [1, Infinity] : [1];
t.setTimeout(FULL ? 600_000 : 90_000);

const cluster = await AbusedCluster.open();
const node = await cluster.node();
const echo = await Echo.open();
const atNode = { process: node, visit: () => visitNode(cluster, echo.port) };
t.teardown(() => cluster.close());
t.teardown(() => echo.close());

/** All that an application says before its first byte of payload. */
const OPEN = (['ipv4', 'ipv6', 'name'] as const).map((by) => {
  return Buffer.concat([greeting(METHOD_NONE), request(echo.port, by)]);
});
const WITH_PASSWORD = Buffer.concat([
  greeting(METHOD_NONE, METHOD_PASSWORD),
  login('demo', cluster.password),
]);
const METHOD_REPLY_BYTES = 2;
const MAPPED_REPLY_BYTES = 22;

t.test('cut at any byte, with every kind of end', async (t) => {
  const expected = new Tally();
  const cases: (() => Promise<void>)[] = [];
  for (const version of VERSIONS) {
    for (const pieceBytes of PIECES) {
      // What our client says after its login are chunks.
      const ours = version.ALPNProtocols !== undefined;
      for (const words of ours ? [WITH_PASSWORD] : [...OPEN, WITH_PASSWORD]) {
        for (let cut = 0; cut < words.length; cut += 1) {
          for (const ending of ENDINGS) {
            if (ending === 'silence' && cut % SILENT_EACH !== 0) continue;
            expected.add(ending === 'silence' ? 'timeout' : 'closed');
            cases.push(async () => {
              const peer = await Peer.tls(cluster.nodePort, cluster.ca, version);
              peer.send(words.subarray(0, cut), pieceBytes);
              await peer.leave(ending);
            });
          }
        }
      }
    }
  }
  const connections = cases.length;
  const [counted] = await survives(t, [atNode], () =>
    atOnce(connections, AT_ONCE, () => cases.pop()!()),
  );
  const unfinished = nonZero(counted!.by('socks_unfinished_total'));
  t.comment(`${connections} connections: `, JSON.stringify(unfinished));
  t.same(unfinished, expected.counts);
  t.equal(counted!.sum('tls_handshakes_total'), connections + 1);
  sumsUp(t, counted!);
});

t.test('whole and then gone, whatever was on the way', async (t) => {
  const cases = ENDINGS.filter((ending) => ending !== 'silence').flatMap((ending) =>
    [...OPEN, WITH_PASSWORD].map((words) => async () => {
      const peer = await Peer.tls(cluster.nodePort, cluster.ca);
      peer.send(words);
      await peer.leave(ending);
    }),
  );
  const connections = cases.length;
  const [counted] = await survives(t, [atNode], () => atOnce(connections, 4, () => cases.pop()!()));
  t.comment('unfinished: ', JSON.stringify(nonZero(counted!.by('socks_unfinished_total'))));
  t.comment('replies: ', JSON.stringify(nonZero(counted!.by('socks_requests_total'))));
  t.comment('tunnels: ', JSON.stringify(nonZero(counted!.by('tunnels_total'))));
  t.equal(counted!.sum('tls_handshakes_total'), connections + 1);
  sumsUp(t, counted!);
});

t.test('a port that waits goes with who asked for it, however he goes', async (t) => {
  const words = Buffer.concat([greeting(METHOD_NONE), Buffer.of(5, 2, 0, 1, 127, 0, 0, 1, 0, 21)]);
  const cases = ENDINGS.filter((ending) => ending !== 'silence').flatMap((ending) =>
    [0, 1, 2, 3].map(() => async () => {
      const peer = await Peer.tls(cluster.nodePort, cluster.ca);
      peer.send(words);
      await peer.read(METHOD_REPLY_BYTES + REPLY_BYTES);
      await peer.leave(ending);
    }),
  );
  const connections = cases.length;
  const [counted] = await survives(t, [atNode], () => atOnce(connections, 4, () => cases.pop()!()));
  t.same(nonZero(counted!.by('binds_total')), { left: connections });
  t.same(nonZero(counted!.by('socks_requests_total')), { succeeded: connections + 1 });
});

t.test('byte by byte it is served', async (t) => {
  const [counted] = await survives(t, [atNode], async () => {
    for (const words of OPEN) {
      const peer = await Peer.tls(cluster.nodePort, cluster.ca);
      await converse(peer, words);
    }
  });
  t.same(nonZero(counted!.by('socks_requests_total')), { succeeded: OPEN.length + 1 });
  t.same(nonZero(counted!.by('tunnels_total')), { ended: OPEN.length + 1 });
  sumsUp(t, counted!);
});

t.test('what is no SOCKS, in one piece and byte by byte', async (t) => {
  const open = greeting(METHOD_NONE);
  const behind = (words: Buffer) => Buffer.concat([open, words]);
  const wrong: readonly (readonly [words: Buffer, reason: string])[] = [
    [Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'malformed'],
    [Buffer.of(4, 1, 0, 80, 127, 0, 0, 1, 0), 'malformed'],
    [Buffer.of(5, 0), 'malformed'],
    [greeting(1, 3, 0x80), 'no-method'],
    [Buffer.concat([greeting(METHOD_PASSWORD), Buffer.of(5, 1, 0x61, 1, 0x61)]), 'malformed'],
    [Buffer.concat([greeting(METHOD_PASSWORD), Buffer.of(1, 0, 1, 0x61)]), 'malformed'],
    [Buffer.concat([greeting(METHOD_PASSWORD), Buffer.of(1, 1, 0x61, 0)]), 'malformed'],
    [Buffer.concat([greeting(METHOD_PASSWORD), login('demo', 'guess')]), 'bad-password'],
    [Buffer.concat([greeting(METHOD_PASSWORD), login('nobody', 'guess')]), 'bad-password'],
    [behind(Buffer.of(4, 1, 0, 80, 127, 0, 0, 1, 0)), 'malformed'],
    [behind(Buffer.of(5, 9, 0, 1, 127, 0, 0, 1, 0, 80)), 'command-not-supported'],
    [behind(Buffer.of(5, 2, 0, 1, 10, 0, 0, 1, 0, 80)), 'not-allowed'],
    [behind(Buffer.of(5, 2, 0, 1, 0, 0, 0, 0, 0, 80)), 'not-allowed'],
    [behind(Buffer.of(5, 1, 0, 9, 127, 0, 0, 1, 0, 80)), 'address-type-not-supported'],
    [behind(Buffer.of(5, 1, 0, 3, 0, 0, 80)), 'host-unreachable'],
    [behind(Buffer.of(5, 1, 0, 1, 127, 0, 0, 1, 0, 0)), 'not-allowed'],
  ];
  const expected = new Tally();
  const [counted] = await survives(t, [atNode], async () => {
    for (const [words, reason] of wrong) {
      for (const pieceBytes of [Infinity, 1]) {
        expected.add(reason);
        const peer = await Peer.tls(cluster.nodePort, cluster.ca);
        peer.send(words, pieceBytes);
        await peer.leave('silence');
      }
    }
  });
  expected.add('succeeded');
  const told = ['socks_unfinished_total', 'socks_requests_total'].map((name) => counted!.by(name));
  t.same(nonZero(Object.assign({}, ...told)), expected.counts);
  sumsUp(t, counted!);
});

t.test('at a client’s port', async (t) => {
  const client = await cluster.client();
  const atClient = { process: client, visit: () => visitClient(cluster, echo.port) };
  const expected = new Tally();
  const cases: (() => Promise<void>)[] = [];
  for (const pieceBytes of PIECES) {
    for (const words of OPEN) {
      for (let cut = 0; cut < words.length; cut += 1) {
        for (const ending of ['fin', 'reset', 'silence'] as const) {
          if (ending === 'silence' && cut % SILENT_EACH !== 0) continue;
          expected.add(ending === 'silence' ? 'greeting-timeout' : 'abandoned');
          cases.push(async () => {
            const peer = await Peer.tcp(cluster.clientPort);
            peer.send(words.subarray(0, cut), pieceBytes);
            await peer.leave(ending);
          });
        }
      }
    }
  }
  const connections = cases.length;
  const [, counted] = await survives(t, [atNode, atClient], async () => {
    await atOnce(connections, AT_ONCE, () => cases.pop()!());
    for (const words of OPEN) await converse(await Peer.tcp(cluster.clientPort), words);
  });
  for (let served = 0; served <= OPEN.length; served += 1) expected.add('connected');
  const outcomes = nonZero(counted!.by('client_requests_total'));
  t.comment(`${connections} connections: `, JSON.stringify(outcomes));
  t.same(outcomes, expected.counts);
});

t.test('and then they stop as they should', async (t) => {
  t.same(await cluster.close(), [0, 0]);
});

/** A dialogue that is written byte by byte, with payload behind it, to an echo. */
async function converse(peer: Peer, words: Buffer): Promise<void> {
  const payload = Buffer.from('sent ahead of the reply');
  peer.send(Buffer.concat([words, payload]), 1);
  peer.stream.end();
  const least = METHOD_REPLY_BYTES + REPLY_BYTES + payload.length;
  await peer.read(least);
  await peer.left();
  peer.stream.destroy();
  const mapped = peer.receivedBytes - least;
  if (mapped !== 0 && mapped !== MAPPED_REPLY_BYTES - REPLY_BYTES) throw new Error(`${mapped}`);
}

/** Each handshake is one request, or one reason why there was none; each success one tunnel. */
function sumsUp(t: Test, counted: Metrics): void {
  const requests = counted.sum('socks_requests_total');
  const unfinished = counted.sum('socks_unfinished_total');
  t.equal(requests + unfinished, counted.sum('tls_handshakes_total'));
  t.equal(counted.by('socks_requests_total')['succeeded'], counted.sum('tunnels_total'));
}
