/** Connections that say nothing, or nothing more, at a node's port and at a client's. */
import t, { type Test } from 'tap';
import { AbusedCluster, SHORT_CLIENT_LIMITS, SHORT_NODE_LIMITS } from './abused-cluster.ts';
import { AT_ONCE_MS, Echo, visitClient, visitNode } from './good-client.ts';
import { hello } from './hello-shape.ts';
import { nonZero } from './metrics.ts';
import { atOnce, survives, type Survivor } from './ordeal.ts';
import { Peer } from './peer.ts';
import { greeting, login, METHOD_NONE, METHOD_PASSWORD, request } from './socks.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const SILENT = FULL ? 2_000 : 300;
const AT_ONCE = 50;
t.setTimeout(FULL ? 300_000 : 90_000);

const echo = await Echo.open();
t.teardown(() => echo.close());

/** Short time-outs; in full also those that a configuration has when it names none. */
const TIMEOUTS = [
  { node: SHORT_NODE_LIMITS, client: SHORT_CLIENT_LIMITS, timeoutMs: 2_000 },
  { node: {}, client: {}, timeoutMs: 10_000 },
].slice(0, FULL ? 2 : 1);
/** For what is late by itself on a busy machine, and the second that a last reply lingers. */
const LATE_MS = 6_000;

for (const { timeoutMs, ...limits } of TIMEOUTS) {
  t.test(`after ${timeoutMs} ms a silent connection is over`, async (t) => {
    const cluster = await AbusedCluster.open();
    t.teardown(() => cluster.close());
    const node = await cluster.node(limits.node);
    const atNode = { process: node, visit: () => visitNode(cluster, echo.port) };

    await t.test(`${SILENT} at a node’s port`, async (t) => {
      const [counted] = await survives(t, [atNode], () =>
        outlast(t, cluster.nodePort, timeoutMs, atNode.visit),
      );
      t.same(nonZero(counted!.by('connections_refused_total')), { timeout: SILENT });
      t.equal(counted!.sum('connections_total'), SILENT + 2);
      t.equal(counted!.sum('tls_handshakes_total'), 2, 'of the good clients');
    });

    await t.test('in the middle of a handshake, of SOCKS, and between its messages', (t) =>
      interruptedAtNode(t, cluster, atNode),
    );

    // Not before: its warm connections would be counted among those above.
    const client = await cluster.client(limits.client);
    const atClient = { process: client, visit: () => visitClient(cluster, echo.port) };

    await t.test(`${SILENT} at a client’s port`, async (t) => {
      const [, counted] = await survives(t, [atNode, atClient], () =>
        outlast(t, cluster.clientPort, timeoutMs, atClient.visit),
      );
      const outcomes = nonZero(counted!.by('client_requests_total'));
      t.same(outcomes, { 'greeting-timeout': SILENT, connected: 2 });
    });

    await t.test('in the middle of SOCKS at a client’s port', (t) =>
      interruptedAtClient(t, cluster, [atNode, atClient]),
    );
  });
}

t.test('beyond the limit of an address a connection is reset at once', async (t) => {
  const [most, more] = [20, 30];
  const cluster = await AbusedCluster.open();
  t.teardown(() => cluster.close());
  const node = await cluster.node({ ...SHORT_NODE_LIMITS, connectionsPerAddress: most });
  const survivor = { process: node, visit: () => visitNode(cluster, echo.port) };
  const [counted] = await survives(t, [survivor], async () => {
    const peers: Peer[] = [];
    let reset = 0;
    await atOnce(most + more, 1, async () => {
      // It may be reset before the runtime has told of its connection.
      const peer = await Peer.tcp(cluster.nodePort).catch(() => undefined);
      if (peer) peers.push(peer);
      else reset += 1;
    });
    await Promise.all(peers.map((peer) => peer.leave('silence')));
    reset += peers.filter(({ failure }) => failure === 'ECONNRESET').length;
    t.equal(reset, more);
  });
  const refused = nonZero(counted!.by('connections_refused_total'));
  t.same(refused, { 'address-limit': more, timeout: most });
});

/** Opens them, serves somebody else meanwhile, and waits until the process ended them all. */
async function outlast(
  t: Test,
  port: number,
  timeoutMs: number,
  visit: () => Promise<number>,
): Promise<void> {
  const start = performance.now();
  const peers: Peer[] = [];
  await atOnce(SILENT, AT_ONCE, async () => void peers.push(await Peer.tcp(port)));
  const lasted = Promise.all(
    peers.map(async (peer) => {
      await peer.leave('silence');
      return performance.now() - start;
    }),
  );
  const visitMs = await visit();
  t.ok(visitMs < AT_ONCE_MS, `a good client among them is served in ${visitMs.toFixed()} ms`);
  const ends = await lasted;
  t.ok(Math.min(...ends) >= timeoutMs, `the first ended after ${Math.min(...ends).toFixed()} ms`);
  const last = Math.max(...ends);
  t.ok(last < timeoutMs + LATE_MS, `the last one after ${last.toFixed()} ms`);
}

async function interruptedAtNode(t: Test, cluster: AbusedCluster, atNode: Survivor): Promise<void> {
  const whole = login('demo', cluster.password);
  const flight = await hello({});
  const halves: readonly Buffer[][] = [
    [],
    [greeting(METHOD_NONE, METHOD_PASSWORD).subarray(0, 3)],
    [greeting(METHOD_PASSWORD)],
    [greeting(METHOD_PASSWORD), whole.subarray(0, whole.length - 1)],
    [greeting(METHOD_NONE)],
    [greeting(METHOD_NONE), request(echo.port, 'name').subarray(0, 8)],
  ];
  const [counted] = await survives(t, [atNode], async () => {
    const early = await Peer.tcp(cluster.nodePort);
    early.send(flight.subarray(0, flight.length / 2));
    const peers = [early];
    for (const said of halves) {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const peer = await Peer.tls(cluster.nodePort, cluster.ca, { maxVersion });
        for (const bytes of said) peer.send(bytes);
        peers.push(peer);
      }
    }
    await Promise.all(peers.map((peer) => peer.leave('silence')));
  });
  t.same(nonZero(counted!.by('connections_refused_total')), { timeout: 1 });
  t.same(nonZero(counted!.by('socks_unfinished_total')), { timeout: 2 * halves.length });
}

async function interruptedAtClient(
  t: Test,
  cluster: AbusedCluster,
  survivors: readonly Survivor[],
): Promise<void> {
  const halves: readonly Buffer[][] = [
    [greeting(METHOD_NONE, METHOD_PASSWORD).subarray(0, 3)],
    [greeting(METHOD_NONE)],
    [greeting(METHOD_NONE), request(echo.port, 'name').subarray(0, 8)],
  ];
  const [, counted] = await survives(t, survivors, async () => {
    const peers = halves.map(async (said) => {
      const peer = await Peer.tcp(cluster.clientPort);
      for (const bytes of said) peer.send(bytes);
      await peer.leave('silence');
    });
    await Promise.all(peers);
  });
  const outcomes = nonZero(counted!.by('client_requests_total'));
  t.same(outcomes, { 'greeting-timeout': halves.length, connected: 1 });
}
