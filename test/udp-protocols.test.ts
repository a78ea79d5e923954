import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { DnsServer } from './dns-server.ts';
import { missing, run, until } from './real-cluster.ts';
import { Tool } from './tool.ts';
import { UdpCluster } from './udp-cluster.ts';

const ADDRESS = '198.18.53.53';
/** Of one try: dig asks no second time. */
const DIG_SECONDS = 3;
const SAID_MS = 10_000;
const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const KILLS = FULL ? 10 : 2;
t.setTimeout(FULL ? 300_000 : 110_000);

const needs = { skip: (await missing('dig', 'dnsutils')) || (await missing('openssl')) };

t.test('dig and DTLS go on when the node that carries them is killed', needs, async (t) => {
  const names = await DnsServer.open(ADDRESS);
  t.teardown(() => names.close());
  const dtlsPort = await freePort();
  const ports = { dig: 0, dtls: 0 };
  const cluster = await UdpCluster.open(t, (free) => {
    Object.assign(ports, { dig: free, dtls: free + 1 });
    return [`udp:${ports.dig}=127.0.0.1:${names.port}`, `udp:${ports.dtls}=127.0.0.1:${dtlsPort}`];
  });
  const dtls = await connectDtls(t, cluster, dtlsPort, ports.dtls);
  await dtls.bothWays('before any kill');

  const own = await freePort();
  const uses = {
    DTLS: () => dtls.bothWays(`a word, ${performance.now()}`),
    dig: () => dig(ports.dig, own),
  };
  t.equal(await dig(ports.dig, own), ADDRESS, 'before');
  t.equal(await dig(ports.dig), ADDRESS, 'before, by an association of its own');
  for (let kill = 0; kill < KILLS; kill += 1) {
    const whose = kill % 2 === 0 ? 'DTLS' : 'dig';
    await cluster.prepared();
    const carrier = await carrierOf(cluster, uses[whose]);
    process.kill(cluster.pid(carrier), 'SIGKILL');
    const at = performance.now();
    const answers = await Promise.all([dig(ports.dig, own), dig(ports.dig), uses.DTLS()]);
    const tookMs = performance.now() - at;
    t.same(answers, [ADDRESS, ADDRESS, undefined], 'at the kill, of one try each');
    t.comment(`node-${carrier}, which carried ${whose}, killed: all in ${tookMs.toFixed(0)} ms`);
    t.equal(await dig(ports.dig, own), ADDRESS, 'after');
    await dtls.bothWays(`after kill ${kill + 1}`);
    await cluster.nodes.up(3);
  }
  t.ok(
    [...names.askedBy.values()].some((count) => count > KILLS),
    'from one port all the time',
  );
  t.equal(dtls.handshakes, 1, 'it is the connection that was made before');
});

/** The node through which that goes. */
async function carrierOf(cluster: UdpCluster, use: () => Promise<unknown>): Promise<number> {
  const counts = () =>
    Promise.all([1, 2, 3].map((index) => cluster.nodes.metric(index, 'udp_datagrams_total')));
  const before = await counts();
  await use();
  const after = await counts();
  return 1 + after.findIndex((count, index) => count > (before[index] ?? 0));
}

/** What dig prints; `from`: its own port, so that it belongs to the same association each time. */
async function dig(port: number, from?: number): Promise<string> {
  const bound = from === undefined ? [] : ['-b', `127.0.0.1#${from}`];
  const once = ['+tries=1', `+timeout=${DIG_SECONDS}`, '+short'];
  const { output } = await run('dig', [
    ...['@127.0.0.1', '-p', String(port), ...bound, ...once, 'www.example.org', 'A'],
  ]);
  return output.trim();
}

interface DtlsConnection {
  /** As the server counts them. */
  readonly handshakes: number;
  /** Each side says something to the other, once. */
  bothWays(text: string): Promise<void>;
}

/** `openssl s_client` through the forward to `openssl s_server`. */
async function connectDtls(
  t: Test,
  cluster: UdpCluster,
  serverPort: number,
  clientPort: number,
): Promise<DtlsConnection> {
  const [key, certificate] = [cluster.nodes.file('dtls.key'), cluster.nodes.file('dtls.pem')];
  const made = await run('openssl', [
    ...['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    ...['-subj', '/CN=dtls.example', '-keyout', key, '-out', certificate],
  ]);
  t.equal(made.code, 0, made.output);
  t.teardown(() => rmSync(key, { force: true }));
  const at = ['-accept', `127.0.0.1:${serverPort}`];
  const server = new Tool(
    'openssl',
    ...['s_server', '-dtls1_2', '-quiet', '-trace', ...at, '-cert', certificate, '-key', key],
  );
  t.teardown(() => server.stop());
  await until('the server listens', SAID_MS, async () => !(await isFree(serverPort)));
  const client = new Tool(
    'openssl',
    ...['s_client', '-dtls1_2', '-quiet', '-connect', `127.0.0.1:${clientPort}`],
    ...['-CAfile', certificate, '-verify_return_error'],
  );
  t.teardown(() => client.stop());
  return {
    get handshakes() {
      return server.said.split('ServerHelloDone').length - 1;
    },
    bothWays: async (text) => {
      client.tell(`up ${text}`);
      await until(`the server has "${text}"`, SAID_MS, () => server.said.includes(`up ${text}\n`));
      server.tell(`down ${text}`);
      await until(`the client has "${text}"`, SAID_MS, () =>
        client.said.includes(`down ${text}\n`),
      );
    },
  };
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address() as AddressInfo;
  socket.close();
  await once(socket, 'close');
  return port;
}

async function isFree(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  const free = new Promise<boolean>((resolve) => {
    socket.once('error', () => resolve(false));
    socket.bind(port, '127.0.0.1', () => resolve(true));
  });
  const is = await free;
  socket.close();
  return is;
}
