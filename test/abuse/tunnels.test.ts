/** Tunnels that are half closed and broken off, in every order, by both of their ends. */
import t, { type Test } from 'tap';
import { AbusedCluster, SHORT_CLIENT_LIMITS, SHORT_NODE_LIMITS } from './abused-cluster.ts';
import { Destination } from './destination.ts';
import { Echo, visitClient, visitNode } from './good-client.ts';
import { nonZero } from './metrics.ts';
import { survives } from './ordeal.ts';
import { Peer } from './peer.ts';
import { greeting, METHOD_NONE, REPLY_BYTES, request, SUCCEEDED } from './socks.ts';
import { SCENARIOS, tunnelOver, type Scenario } from './tunnel-scenario.ts';

const ROUNDS = process.env['ARGYLE_TEST_FULL'] === '1' ? 10 : 1;
t.setTimeout(90_000 * ROUNDS);

const cluster = await AbusedCluster.open();
const node = await cluster.node({ ...SHORT_NODE_LIMITS, idle: '3s' });
const echo = await Echo.open();
const destination = await Destination.open();
const atNode = { process: node, visit: () => visitNode(cluster, echo.port) };
t.teardown(() => cluster.close());
t.teardown(() => destination.close());
t.teardown(() => echo.close());

t.test('of a conventional client', async (t) => {
  const open = async () => through(await Peer.tls(cluster.nodePort, cluster.ca));
  const [counted] = await survives(t, [atNode], () => playAll(t, open));
  const tunnels = nonZero(counted!.by('tunnels_total'));
  t.comment('tunnels: ', JSON.stringify(tunnels));
  // The node looks for what no byte tells of.
  t.same(tunnels, { ended: count('ended') + 1, reset: count('reset', 'quiet') });
  t.equal(counted!.sum('socks_requests_total'), counted!.sum('tls_handshakes_total'));
});

t.test('of an application at a client', async (t) => {
  const client = await cluster.client({ ...SHORT_CLIENT_LIMITS, idle: '2s' });
  const atClient = { process: client, visit: () => visitClient(cluster, echo.port) };
  const open = async () => through(await Peer.tcp(cluster.clientPort));
  const [atTheNode, counted] = await survives(t, [atNode, atClient], () => playAll(t, open));
  const tunnels = nonZero(atTheNode!.by('tunnels_total'));
  t.comment('tunnels: ', JSON.stringify(tunnels));
  t.equal(tunnels['ended'], count('ended') + 2);
  t.equal((tunnels['reset'] ?? 0) + (tunnels['idle'] ?? 0), count('reset', 'quiet'));
  t.same(nonZero(counted!.by('client_requests_total')), { connected: played() + 1 });
});

t.test('and then they stop as they should', async (t) => {
  t.same(await cluster.close(), [0, 0]);
});

/** One after another, each with a tunnel of its own, which is over before the next begins. */
async function playAll(t: Test, open: () => Promise<Peer>): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { title, play } of SCENARIOS) {
      const app = await open();
      const target = await destination.next();
      const start = performance.now();
      await play({ app, target, node }).then(
        () => t.pass(`${title} (${Math.round(performance.now() - start)} ms)`),
        (error: unknown) => t.fail(`${title}: ${String(error)}`),
      );
      await tunnelOver(node);
      for (const peer of [app, target]) peer.stream.destroy();
    }
  }
}

function played(): number {
  return ROUNDS * SCENARIOS.length;
}

function count(...ends: readonly Scenario['end'][]): number {
  return ROUNDS * SCENARIOS.filter(({ end }) => ends.includes(end)).length;
}

async function through(peer: Peer): Promise<Peer> {
  peer.send(greeting(METHOD_NONE));
  await peer.read(2);
  peer.send(request(destination.port));
  const [, reply] = await peer.read(REPLY_BYTES);
  if (reply !== SUCCEEDED) throw new Error(`reply ${reply}`);
  peer.startOver();
  return peer;
}
