/** What strangers send in place of a ClientHello, and what becomes of real ones that are cut. */
import type { ConnectionOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { Random } from '@argyle/simulator';
import { ClientHelloReader } from '../../packages/node/src/client-hello.ts';
import { missing } from '../real-cluster.ts';
import { visit } from '../tls.ts';
import { AbusedCluster } from './abused-cluster.ts';
import { Echo, visitNode } from './good-client.ts';
import { mutant, MUTATION_KINDS } from './hello-mutation.ts';
import { hello, messageOf, opensslHello, records } from './hello-shape.ts';
import { nonZero, Tally, type Metrics } from './metrics.ts';
import { atOnce, survives } from './ordeal.ts';
import { cutHandshake } from './cut-wire.ts';
import { Peer } from './peer.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const HELLOS = FULL ? 10_000 : 1_000;
const SEED = Number(process.env['ARGYLE_TEST_SEED'] ?? 1);
const AT_ONCE = 100;
/** Handshakes byte by byte, some 30 ms each on a busy machine: each must end within the limit. */
const HANDSHAKES_AT_ONCE = 10;
/** Connections for each flight when it is cut: see there. */
const CUTS = 28;
/** Those whose first share is one that no node takes are asked for another. */
const HANDSHAKES: readonly [ConnectionOptions, retried: boolean][] = [
  [{ ecdhCurve: 'X25519MLKEM768' }, false],
  [{ ecdhCurve: 'secp521r1:X25519' }, true],
  [{ ecdhCurve: 'secp521r1:X25519MLKEM768', ALPNProtocols: ['argyle/1'] }, true],
  [{ maxVersion: 'TLSv1.2' }, false],
];
/** The first byte of SOCKS5 in clear, which has a reason of its own. */
const SOCKS5 = 5;
/** Good clients that come after the abuse, before the last look. */
const VISITS = 1;
t.setTimeout(FULL ? 600_000 : 90_000);

const cluster = await AbusedCluster.open();
const node = await cluster.node();
const echo = await Echo.open();
const noOpenssl = await missing('openssl');
const survivors = [{ process: node, visit: () => visitNode(cluster, echo.port) }];
t.teardown(() => cluster.close());
t.teardown(() => echo.close());

const flights = [
  await hello({}),
  await hello({ ecdhCurve: 'X25519' }),
  await hello({ ecdhCurve: 'X25519MLKEM768', ALPNProtocols: ['argyle/1'] }),
  await hello({ maxVersion: 'TLSv1.2' }),
  await hello({ session: await sessionOf('TLSv1.3'), ALPNProtocols: ['argyle/1'] }),
  await hello({ session: await sessionOf('TLSv1.2'), maxVersion: 'TLSv1.2' }),
];
if (noOpenssl === false) {
  for (const args of [[], ['-tls1_2'], ['-tls1_3', '-groups', 'X25519'], ['-alpn', 'h2']]) {
    flights.push(await opensslHello(args));
  }
}

t.test(`${HELLOS} hellos of strangers, each refused and counted`, async (t) => {
  const random = new Random(SEED);
  const expected = new Tally();
  const kinds = new Set<string>();
  const [counted] = await survives(t, survivors, () =>
    atOnce(HELLOS, AT_ONCE, async () => {
      const { kind, bytes } = mutant(flights, random);
      kinds.add(kind);
      const end = random.pick(['fin', 'fin', 'fin', 'reset', 'garbage'] as const);
      await offer(bytes, random.chance(0.005) ? 'silence' : end, expected);
    }),
  );
  t.equal(kinds.size, MUTATION_KINDS.length, 'every kind of mutation was sent');
  accounts(t, counted!, HELLOS, expected);
});

t.test('hellos cut anywhere, in any size of record and of piece', async (t) => {
  const expected = new Tally();
  const cases: (() => Promise<void>)[] = [];
  for (const flight of flights) {
    const forms = [flight, records(messageOf(flight), 40), records(messageOf(flight), 1)];
    for (const [index, bytes] of forms.entries()) {
      const half = bytes.subarray(0, bytes.length / 2);
      for (const pieceBytes of [Infinity, 40, 1]) {
        if (index === 2 && pieceBytes !== Infinity) continue;
        for (const ending of ['fin', 'reset', 'silence'] as const) {
          cases.push(() => offer(half, ending, expected, pieceBytes));
        }
        cases.push(() => offer(bytes, 'fin', expected, pieceBytes));
      }
    }
  }
  const [counted] = await survives(t, survivors, () =>
    atOnce(cases.length, AT_ONCE, () => cases.pop()!()),
  );
  accounts(t, counted!, flights.length * CUTS, expected);
});

t.test('real handshakes that stop at any byte, with a second hello too', async (t) => {
  const expected = new Tally();
  const cases: (() => Promise<void>)[] = [];
  for (const [options, retried] of HANDSHAKES) {
    const whole = await cutHandshake(cluster, options, Infinity, 1);
    t.equal(whole.secure, true, JSON.stringify(options));
    t.equal(whole.retried, retried, 'HelloRetryRequest');
    // The last record is Finished: without its last byte there is no handshake.
    for (let cut = 1; cut < whole.sentBytes; cut += FULL ? 7 : 61) {
      // A reset right behind the hello may overtake it.
      if (cut === whole.helloBytes) continue;
      for (const ending of ['fin', 'reset'] as const) {
        cases.push(async () => {
          const { helloBytes } = await cutHandshake(cluster, options, cut, 1, ending);
          expected.add(cut > helloBytes ? 'handshake' : 'closed');
        });
      }
    }
    for (const cut of [5, whole.sentBytes - 1]) {
      cases.push(async () => {
        await cutHandshake(cluster, options, cut, Infinity, 'silence');
        expected.add('timeout');
      });
    }
  }
  const connections = cases.length;
  const [counted] = await survives(t, survivors, () =>
    atOnce(connections, HANDSHAKES_AT_ONCE, () => cases.pop()!()),
  );
  accounts(t, counted!, connections, expected);
});

t.test('and then it stops as it should', async (t) => {
  t.same(await cluster.close(), [0]);
});

/**
 * One connection that sends these bytes. The reader's verdict says what is to come: a refusal, an
 * answer of the TLS library, or nothing before the stranger leaves.
 */
async function offer(
  bytes: Buffer,
  ending: 'fin' | 'reset' | 'garbage' | 'silence',
  expected: Tally,
  pieceBytes = Infinity,
): Promise<void> {
  const verdict = new ClientHelloReader().push(bytes);
  const peer = await Peer.tcp(cluster.nodePort);
  peer.send(bytes, pieceBytes);
  if (verdict.kind === 'refused') {
    expected.add(bytes[0] === SOCKS5 ? 'plain' : verdict.reason);
    await peer.leave('silence');
    return;
  }
  if (verdict.kind === 'hello') {
    await peer.heard();
    // The library's alert, or its answer to a hello that is as good as any.
    expected.add('handshake');
    if (ending === 'garbage') peer.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await peer.leave(ending === 'reset' ? 'reset' : 'fin');
    return;
  }
  expected.add(ending === 'silence' ? 'timeout' : 'closed');
  await peer.leave(ending === 'garbage' ? 'fin' : ending);
}

function accounts(t: Test, counted: Metrics, connections: number, expected: Tally): void {
  const refused = nonZero(counted.by('connections_refused_total'));
  t.comment('refused: ', JSON.stringify(refused));
  t.same(refused, expected.counts);
  t.equal(counted.sum('connections_refused_total'), connections, 'each is counted once');
  t.equal(counted.sum('connections_total'), connections + VISITS);
  t.equal(counted.sum('tls_handshakes_total'), VISITS);
}

async function sessionOf(maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<Buffer> {
  const { sessions } = await visit(cluster.nodePort, cluster.ca, { maxVersion });
  return sessions[0]!;
}
