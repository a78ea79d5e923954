/** Applications and destinations that do not read, and whoever shares connections with them. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { until } from '../real-cluster.ts';
import { AbusedCluster } from './abused-cluster.ts';
import type { AbusedProcess } from './abused-process.ts';
import { Echo, visitClient, visitNode } from './good-client.ts';
import { Peer } from './peer.ts';
import { greeting, METHOD_NONE, REPLY_BYTES, request, SUCCEEDED } from './socks.ts';

/** The kernel's own buffers for twice as many make it short of memory for TCP. */
const STALLED = process.env['ARGYLE_TEST_FULL'] === '1' ? 150 : 60;
/** More than all buffers on the way take. */
const POURED = Buffer.alloc(16 * 1024 * 1024, 'argyle');
const VISITS = 20;
/** The client's connections, by each of which windows may grow by so much in all. */
const CONNECTIONS = 16;
const GROWTH_KB = 8 * 1024;
/** What was read and let go: the collector leaves 30 to 45 MB of it. */
const GARBAGE_KB = 64 * 1024;
/** A window each way in both processes, what windows may grow by, and what is garbage already. */
const GROWN_KB_MAX = STALLED * 2 * 256 + CONNECTIONS * GROWTH_KB + GARBAGE_KB;
/** Who has sent all that it may looks for a reset now and then. */
const OVER_MS = 40_000;
t.setTimeout(180_000);

const cluster = await AbusedCluster.open();
const node = await cluster.node({});
const client = await cluster.client({});
const echo = await Echo.open();
t.teardown(() => cluster.close());
t.teardown(() => echo.close());
const survivors = [
  { process: node, visit: () => visitNode(cluster, echo.port) },
  { process: client, visit: () => visitClient(cluster, echo.port) },
];

/** Accepts, and does that with each connection. */
async function destination(t: Test, handle: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => undefined));
    handle(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => void server.close());
  return { port: (server.address() as AddressInfo).port, sockets };
}

async function through(port: number): Promise<Peer> {
  const peer = await Peer.tcp(cluster.clientPort);
  peer.send(greeting(METHOD_NONE));
  await peer.read(2);
  peer.send(request(port));
  const [, reply] = await peer.read(REPLY_BYTES);
  if (reply !== SUCCEEDED) throw new Error(`reply ${reply}`);
  return peer;
}

function residentKb({ pid }: AbusedProcess): number {
  const [, kb = ''] =
    /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kb);
}

/** Good clients come and go meanwhile. */
async function visits(t: Test): Promise<void> {
  const times = [];
  for (let visit = 0; visit < VISITS; visit += 1) times.push(await visitClient(cluster, echo.port));
  times.sort((a, b) => a - b);
  t.comment(`visits: ${times.map((time) => time.toFixed(1)).join(' ')} ms`);
  t.ok(times.at(-1)! < 1_000, 'all of them at once');
}

/** `stall` answers all that it has opened. */
async function measured(t: Test, stall: () => Promise<readonly Socket[]>): Promise<void> {
  for (const { visit } of survivors) await visit();
  const before = [node, client].map(residentKb);
  const opened = await stall();
  await visits(t);
  const grown = [node, client].map((process, index) => residentKb(process) - before[index]!);
  t.comment(`${STALLED} stalled: node and client grew by ${grown.join(' and ')} kB`);
  t.ok(Math.max(...grown) < GROWN_KB_MAX, 'what waits is bounded');
  for (const socket of opened) socket.destroy();
  for (const [process, gauge] of [
    [node, 'tunnels'],
    [client, 'client_tunnels'],
  ] as const) {
    const none = async () => (await process.metrics()).sum(gauge) === 0;
    await until('no tunnel is left', OVER_MS, none);
    t.equal(process.errors, '', 'no error is logged');
  }
}

t.test('downloads that nobody reads', (t) =>
  measured(t, async () => {
    const apps: Socket[] = [];
    const { port, sockets } = await destination(t, (socket) => socket.write(POURED));
    for (let opened = 0; opened < STALLED; opened += 1) {
      apps.push((await through(port)).stream.pause());
    }
    return [...apps, ...sockets];
  }),
);

t.test('uploads that nobody reads', (t) =>
  measured(t, async () => {
    const apps: Socket[] = [];
    const { port, sockets } = await destination(t, (socket) => socket.pause());
    for (let opened = 0; opened < STALLED; opened += 1) {
      const { stream } = await through(port);
      stream.write(POURED);
      apps.push(stream);
    }
    return [...apps, ...sockets];
  }),
);

t.test('and then they stop as they should', async (t) => {
  t.same(await cluster.close(), [0, 0]);
});
