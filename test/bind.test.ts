/** BIND from end to end: a real FTP client in active mode, by every way that leads to a node. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { fetchActively, FtpServer, type Fetch } from './active-ftp.ts';
import { missing, RealCluster, until } from './real-cluster.ts';

const NODES = [1, 2];
const BIND = Buffer.of(5, 2, 0, 1, 127, 0, 0, 1, 0, 21);
const FILE = randomBytes(3_000_000);

const cluster = await RealCluster.open();
const ftp = new FtpServer(FILE);
const noFtp = (await missing('socksify', 'dante-client')) || (await missing('tnftp'));
const noStunnel = await missing('stunnel', 'stunnel4');
t.teardown(() => cluster.remove());
t.teardown(() => ftp.close());

t.before(async () => {
  const base = ['--port-base', String(cluster.base), '--client-port', String(cluster.clientPort)];
  const made = await cluster.script('argyle', 'init', '--nodes', '2', ...base);
  if (made.code !== 0) throw new Error(made.output);
  for (const index of NODES) {
    const file = cluster.file(`node-${index}.yaml`);
    // Programs under socksify expect anybody: they do not name their peers.
    const rule = '  - { action: allow, commands: [bind], networks: [0.0.0.0/32] }\n';
    const yaml = readFileSync(file, 'utf8').replace('rules:\n', `rules:\n${rule}`);
    writeFileSync(file, `${yaml}\nsocks:\n  plainFrom: [127.0.0.0/8]\n`);
  }
  await cluster.up(2);
});

async function sum(name: string, labels = {}): Promise<number> {
  const values = await Promise.all(NODES.map((index) => cluster.metric(index, name, labels)));
  return values.reduce((total, value) => total + value, 0);
}

function user() {
  const [, name = '', password = ''] =
    /name: (\S+)\n +password: (\S+)/.exec(cluster.read('client.yaml')) ?? [];
  return { name, password };
}

/** The port of a stunnel that leads to a node. */
async function stunnel(t: Test): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const file = cluster.file('stunnel.conf');
  writeFileSync(
    file,
    `foreground = yes\npid =\n[node]\nclient = yes\naccept = 127.0.0.1:${port}
connect = 127.0.0.1:${cluster.nodePort(2)}\nsni = argyle.cluster\nverifyChain = yes
CAfile = ${cluster.file('ca.pem')}\ncheckHost = argyle.cluster\n`,
  );
  const child = spawn('stunnel', [file], { stdio: 'ignore' });
  t.teardown(async () => {
    child.kill();
    if (child.exitCode === null) await once(child, 'exit');
  });
  await until('stunnel listens', 10_000, async () => {
    const socket = connect({ host: '127.0.0.1', port });
    const listening = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    return listening;
  });
  return port;
}

t.test('active FTP', { skip: noFtp }, async (t) => {
  const ftpPort = await ftp.listen();
  const folder = cluster.home;
  const fetched = async (t: Test, way: Pick<Fetch, 'socksPort' | 'user'>) => {
    const before = await sum('binds_total', { end: 'met' });
    const got = await fetchActively({ folder, ftpPort, ...way });
    t.ok(got.equals(FILE), `${got.length} bytes`);
    t.equal(await sum('binds_total', { end: 'met' }), before + 1);
    await until('tunnels end', 5_000, async () => (await sum('tunnels')) === 0);
    t.equal(await sum('tunnels_total', { end: 'reset' }), 0);
    t.equal(await sum('binds'), 0);
  };
  await t.test('through our client', (t) => fetched(t, { socksPort: cluster.clientPort }));
  await t.test('inside TLS', { skip: noStunnel }, async (t) => {
    await fetched(t, { socksPort: await stunnel(t), user: user() });
  });
  await t.test('in clear, from a network that is named', async (t) => {
    await fetched(t, { socksPort: cluster.nodePort(1), user: user() });
    t.equal(await sum('connections_plain_total'), 1);
  });
});

t.test('a node that is killed while its port waits is told to the application', async (t) => {
  const socket = connect({ host: '127.0.0.1', port: cluster.clientPort });
  t.teardown(() => void socket.destroy());
  let said = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => (said = Buffer.concat([said, bytes])));
  socket.write(Buffer.concat([Buffer.of(5, 1, 0), BIND]));
  await until('the first reply', 5_000, () => said.length === 12);
  t.strictSame([...said.subarray(2, 10)], [5, 0, 0, 1, 127, 0, 0, 1]);
  const waits = await Promise.all(NODES.map((index) => cluster.metric(index, 'binds')));
  const node = NODES[waits.indexOf(1)] ?? 0;
  t.match(await cluster.view(node, '/api/v1/binds'), [
    { endpoint: `127.0.0.1:${said.readUInt16BE(10)}`, user: user().name, expected: ['127.0.0.1'] },
  ]);
  await cluster.kill(node);
  await until('the second reply', 5_000, () => said.length === 22);
  t.equal(said[13], 1);
  await until('its end', 5_000, () => socket.closed);
  t.equal(await cluster.metric(0, 'client_requests_total', { outcome: 'failed' }), 1);
});
