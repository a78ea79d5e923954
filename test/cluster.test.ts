import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { sClient } from './openssl.ts';
import { missing, RealCluster, run, until } from './real-cluster.ts';
import { visit } from './tls.ts';

const NODES = [1, 2, 3];
const FILE_BYTES = 200 * 1024 * 1024;
const FETCHES = 200;
const CONCURRENCY = 8;

const cluster = await RealCluster.open();
const ca = () => cluster.read('ca.pem');
const caFile = cluster.file('ca.pem');
const saved = (name: string) => join(cluster.home, `session-${name}`);
const noOpenssl = await missing('openssl');
const noCurl = await missing('curl');
t.teardown(() => cluster.remove());

async function sumOver(name: string, labels = {}, nodes = NODES): Promise<number> {
  const values = await Promise.all(nodes.map((index) => cluster.metric(index, name, labels)));
  return values.reduce((sum, value) => sum + value, 0);
}

async function digestsEqual(nodes: readonly number[]): Promise<boolean> {
  const digests = await Promise.all(nodes.map((index) => cluster.digest(index)));
  return new Set(digests).size === 1;
}

t.test('scripts/up starts three nodes and a client, and says where they are', async (t) => {
  const output = await cluster.up();
  for (const index of NODES) t.match(output, `127.0.0.1:${cluster.nodePort(index)}`);
  t.match(output, `127.0.0.1:${cluster.clientPort}`);
  t.equal(output.match(/^ {2}(curl|\S+=\S+ )/gm)?.length, 3, 'three commands to try');
  t.match(await cluster.up(), /node-1 .*runs/, 'run twice it says what runs already');
  for (const index of NODES) {
    const { view } = await cluster.cluster(index);
    t.same([...view.members].sort(), ['node-1', 'node-2', 'node-3']);
  }
});

t.test('openssl’s sessions resume at nodes that never saw it', { skip: noOpenssl }, async (t) => {
  for (const version of ['tls1_2', 'tls1_3']) {
    const made = await sClient(caFile, cluster.nodePort(1), [
      `-${version}`,
      ...['-sess_out', saved(version)],
    ]);
    t.equal(made.reused, false);
    for (const index of [2, 3]) {
      const args = [`-${version}`, '-sess_in', saved(version)];
      const again = await sClient(caFile, cluster.nodePort(index), args);
      t.ok(again.reused, `${again.protocol} at node ${index}`);
    }
  }
});

t.test('with a client certificate, which the other node does not ask for again', async (t) => {
  const issued = await cluster.script('argyle', 'certificate', 'laptop', '--client');
  t.equal(issued.code, 0, issued.output);
  const certificate = cluster.read('laptop.pem');
  const shown = { cert: certificate, key: cluster.read('laptop.key.pem') };
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const made = await visit(cluster.nodePort(1), ca(), { maxVersion, ...shown });
    const [session] = made.sessions;
    for (const index of [2, 3]) {
      const again = await visit(cluster.nodePort(index), ca(), { maxVersion, session: session! });
      t.ok(again.reused, `${maxVersion} at node ${index}, without showing a certificate`);
    }
  }
  const sessions = await cluster.view<Record<string, unknown>[]>(2, '/api/v1/sessions?limit=1000');
  const named = sessions.filter((session) => JSON.stringify(session).includes('laptop'));
  t.ok(named.length > 0, 'the second node knows the subject');
});

t.test('both tickets of one TLS 1.3 handshake resume elsewhere at once', async (t) => {
  for (const ecdhCurve of ['X25519', 'X25519MLKEM768', 'X25519MLKEM768:X25519']) {
    const made = await visit(cluster.nodePort(1), ca(), { ecdhCurve }, 2);
    const [first, second] = made.sessions;
    const both = await Promise.all([
      visit(cluster.nodePort(2), ca(), { ecdhCurve, session: first! }),
      visit(cluster.nodePort(3), ca(), { ecdhCurve, session: second! }),
    ]);
    t.same(
      both.map(({ reused, protocol }) => [reused, protocol]),
      [
        [true, 'TLSv1.3'],
        [true, 'TLSv1.3'],
      ],
      ecdhCurve,
    );
  }
});

t.test('sessions outlive the node that made them', { skip: noOpenssl }, async (t) => {
  const killedAt = performance.now();
  await cluster.kill(1);
  for (const index of [2, 3]) {
    await until(`node ${index} sees the loss`, 1_000, async () => {
      const { view } = await cluster.cluster(index);
      return view.members.length === 2;
    });
  }
  t.comment(`seen by both survivors ${Math.round(performance.now() - killedAt)} ms after the kill`);
  for (const version of ['tls1_2', 'tls1_3']) {
    for (const index of [2, 3]) {
      const args = [`-${version}`, '-sess_in', saved(version)];
      const again = await sClient(caFile, cluster.nodePort(index), args);
      t.ok(again.reused, `${again.protocol} at node ${index}`);
    }
  }
});

t.test('and resume there when it came back: it took everything before it was ready', async (t) => {
  await cluster.up();
  for (const version of ['tls1_2', 'tls1_3']) {
    const args = [`-${version}`, '-sess_in', saved(version)];
    const again = await sClient(caFile, cluster.nodePort(1), args);
    t.ok(again.reused, again.protocol);
  }
  await until('equal digests', 1_000, () => digestsEqual(NODES));
});

t.test('curl, through the client', { skip: noCurl }, async (t) => {
  const contents = randomBytes(1024 * 1024);
  const hash = createHash('sha256');
  for (let part = 0; part < FILE_BYTES / contents.length; part += 1) hash.update(contents);
  const wanted = hash.digest('hex');
  const servers = await Promise.all(['127.0.0.1', '::1'].map((host) => serve(host, contents)));
  t.teardown(() => servers.forEach((server) => server.close()));
  const [v4, v6] = servers.map((server) => (server.address() as AddressInfo).port);
  const proxy = ['--socks5-hostname', `127.0.0.1:${cluster.clientPort}`, '--silent'];

  for (const url of [`http://localhost:${v4}/large`, `http://[::1]:${v6}/large`]) {
    t.test(`fetches ${url.includes('[') ? 'from an IPv6 literal' : 'by name'}`, async (t) => {
      const shell = `curl --fail ${proxy.join(' ')} '${url}' | sha256sum`;
      const { output } = await run('/bin/sh', ['-c', shell]);
      t.equal(output.split(' ')[0], wanted, `${FILE_BYTES / 1024 / 1024} MB`);
    });
  }

  t.test('goes on when the node in use is killed', async (t) => {
    const inUse = (await cluster.view<{ node: string }>(0, '/api/v1/cluster')).node;
    const index = Number(inUse.split(':')[1]) - cluster.base;
    const survivors = NODES.filter((other) => other !== index);
    const before = [await fullAt(survivors), await checksAt(survivors)];
    let killedAt = Infinity;
    let started = 0;
    const failures: { began: number; ended: number }[] = [];
    const worker = async () => {
      while (started < FETCHES) {
        started += 1;
        if (started === FETCHES / 4) {
          void cluster.kill(index).then(() => {
            killedAt = performance.now();
          });
        }
        const began = performance.now();
        const { code } = await run('curl', [
          ...proxy,
          ...['--fail', '--max-time', '20', '--output', '/dev/null'],
          `http://localhost:${v4}/small`,
        ]);
        if (code !== 0) failures.push({ began, ended: performance.now() });
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    t.ok(killedAt < Infinity, 'it was killed');
    const late = failures.filter(({ began }) => began > killedAt);
    t.same(late, [], 'what began after the kill succeeded');
    t.ok(failures.length <= CONCURRENCY, `${failures.length} in flight at the kill failed`);
    t.same(
      [await fullAt(survivors), await checksAt(survivors)],
      before,
      'resumed only, no password',
    );
    const { node, reason } = await cluster.view<{ node: string; reason: string }>(
      0,
      '/api/v1/cluster',
    );
    t.not(node, inUse);
    t.comment(`moved from ${inUse} to ${node}: ${reason}`);
    await until('equal digests', 1_000, () => digestsEqual(survivors));
    await cluster.up();
  });
});

async function fullAt(nodes: number[]): Promise<number> {
  return sumOver('tls_handshakes_total', { resumed: 'false' }, nodes);
}

async function checksAt(nodes: number[]): Promise<number> {
  return sumOver('password_checks_total', {}, nodes);
}

function serve(host: string, contents: Buffer): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url !== '/large') {
      response.end('small');
      return;
    }
    let left = FILE_BYTES / contents.length;
    const more = () => {
      while (left > 0) {
        left -= 1;
        if (!response.write(contents)) return;
      }
      response.end();
    };
    response.on('drain', more);
    more();
  });
  return new Promise((resolve) => {
    server.listen(0, host, () => resolve(server));
  });
}

t.test('a removed user’s lineage is refused everywhere', { skip: noCurl }, async (t) => {
  const server = await serve('127.0.0.1', Buffer.alloc(0));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const fetched = async () => {
    const proxy = ['--socks5-hostname', `127.0.0.1:${cluster.clientPort}`];
    const limits = ['--silent', '--max-time', '5'];
    const { code } = await run('curl', [...proxy, ...limits, `http://localhost:${port}/small`]);
    return code === 0;
  };
  t.ok(await fetched());
  const before = await sumOver('password_checks_total', { result: 'unknown' });
  const { code, output } = await cluster.script('argyle', 'user', 'remove', 'demo');
  t.equal(code, 0, output);
  await until('he is refused', 5_000, async () => !(await fetched()));
  t.ok(await sumOver('tls_full_handshakes_total', { reason: 'revoked' }), 'as is his session');
  t.ok((await sumOver('password_checks_total', { result: 'unknown' })) > before, 'and password');
  for (const index of NODES) t.equal(await cluster.metric(index, 'tunnels'), 0);
});

t.test('scripts/down stops everything and frees every port', async (t) => {
  await cluster.down();
  for (const port of [cluster.clientPort, ...NODES.map((index) => cluster.nodePort(index))]) {
    const taken = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      (error: Error) => !/ECONNREFUSED/.test(JSON.stringify(error.cause ?? '') + error.cause),
    );
    t.notOk(taken, `port ${port} is free`);
  }
  for (const name of ['node-1', 'node-2', 'node-3', 'client']) {
    t.throws(() => cluster.read(`${name}.pid`), `no ${name}.pid`);
  }
});
