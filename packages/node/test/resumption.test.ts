import { SystemHost } from '@argyle/host/system';
import t, { type Test } from 'tap';
import type { NodeOptions } from '../src/options.ts';
import { Table } from '../src/tables.ts';
import { sessionsView } from '../src/views.ts';
import { FakeCluster } from './fake-cluster.ts';
import { startFront } from './front.ts';
import { Pki } from './pki.ts';
import { sClient } from './s-client.ts';
import { settings } from './settings.ts';
import { TlsClient } from './tls-client.ts';
import { until } from './until.ts';

const pki = new Pki();
const options = settings(pki);

async function fronts(t: Test, count: number, changes: Partial<NodeOptions> = {}) {
  const cluster = new FakeCluster();
  const started = [];
  for (let index = 0; index < count; index += 1) {
    const front = await startFront(cluster.join(), { ...options, ...changes });
    t.teardown(() => front.close());
    started.push(front);
  }
  return { cluster, ports: started.map(({ port }) => port), started };
}

for (const version of ['-tls1_2', '-tls1_3']) {
  t.test(`openssl s_client ${version} resumes at two other fronts`, async (t) => {
    const { ports, started } = await fronts(t, 3);
    const [first = 0, ...others] = ports;
    const made = await sClient(pki, first, [version, '-sess_out', 'session.pem']);
    t.equal(made.reused, false);
    for (const port of others) {
      const report = await sClient(pki, port, [version, '-sess_in', 'session.pem']);
      t.equal(report.reused, true, 'reused');
    }
    const lineages = started.map(({ seen }) => Buffer.from(seen[0]?.lineage ?? '').toString('hex'));
    t.equal(new Set(lineages).size, 1, 'all three are one lineage');
    const protocol = version === '-tls1_2' ? 'TLSv1.2' : 'TLSv1.3';
    for (const { counters } of started.slice(1)) {
      t.equal(counters.handshakes.count(['true', protocol]), 1);
      t.equal(counters.handshakes.count(['false', protocol]), 0);
    }
  });

  t.test(`an RSA-2048 client certificate goes along with a session ${version}`, async (t) => {
    const { cluster, ports, started } = await fronts(t, 2, {
      authentication: { methods: ['certificate'], users: new Map() },
    });
    const [first = 0, second = 0] = ports;
    const { certificateFile, keyFile } = pki.client('laptop');
    const shown = ['-cert', certificateFile, '-key', keyFile];
    await sClient(pki, first, [version, '-sess_out', 'rsa.pem', ...shown]);
    const report = await sClient(pki, second, [version, '-sess_in', 'rsa.pem']);
    t.equal(report.reused, true);
    t.strictSame(started[1]?.seen[0]?.known, { basis: 'certificate', user: 'laptop' });
    const [row] = sessionsView(new SystemHost(), cluster.members[1]!, 10);
    t.equal(row?.certificate, 'CN=laptop, O=Argyle');
  });
}

t.test('a session made under one server name is not offered under another', async (t) => {
  const { ports, started } = await fronts(t, 1);
  const [port = 0] = ports;
  for (const version of ['-tls1_2', '-tls1_3']) {
    await sClient(pki, port, [version, '-sess_out', 'sni.pem']);
    const again = [version, '-sess_in', 'sni.pem'];
    const elsewhere = await sClient(pki, port, [...again, '-servername', 'else.where']);
    t.equal(elsewhere.reused, false);
    const nameless = await sClient(pki, port, [...again, '-noservername']);
    t.equal(nameless.reused, true, 'no name means the cluster’s');
  }
  t.equal(started[0]!.counters.fullHandshakes.count(['trust']), 2);
});

t.test('a ticket without a legacy session id is a full handshake', async (t) => {
  const { ports, started } = await fronts(t, 1);
  const [port = 0] = ports;
  await sClient(pki, port, ['-tls1_3', '-sess_out', 'bare.pem']);
  const bare = await sClient(pki, port, ['-tls1_3', '-sess_in', 'bare.pem', '-no_middlebox']);
  t.equal(bare.reused, false);
  t.equal(started[0]!.counters.fullHandshakes.count(['no-session-id']), 1);
});

t.test('both tickets of one TLS 1.3 handshake resume at another front at once', async (t) => {
  const { cluster, ports } = await fronts(t, 2);
  const [first = 0, second = 0] = ports;
  const client = await TlsClient.connect(pki, first, { minVersion: 'TLSv1.3' });
  const tickets = await client.sessions(2);
  t.equal(cluster.writes, 1, 'the pair is one write');
  client.end();
  const again = await Promise.all(
    tickets.slice(0, 2).map((session) => TlsClient.connect(pki, second, { session })),
  );
  t.strictSame(
    again.map(({ resumed }) => resumed),
    [true, true],
  );
  for (const { socket } of again) socket.destroy();
});

for (const groups of [
  'X25519',
  'X25519MLKEM768',
  'X25519MLKEM768:X25519',
  'X25519:X25519MLKEM768',
]) {
  t.test(`a client with the groups ${groups} resumes`, async (t) => {
    const { ports } = await fronts(t, 2);
    const [first = 0, second = 0] = ports;
    const client = await TlsClient.connect(pki, first, { ecdhCurve: groups });
    const [session] = await client.sessions(1);
    client.end();
    const again = await TlsClient.connect(pki, second, { ecdhCurve: groups, ...given(session) });
    t.equal(again.resumed, true);
    again.end();
  });
}

t.test('a client holds nothing that the members do not', async (t) => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { cluster, ports, started } = await fronts(t, 2, {
      sessions: { ...options.sessions, holdMs: 60_000 },
    });
    cluster.hold();
    const client = new TlsClient(pki, ports[0] ?? 0, { maxVersion: version });
    await until(() => started[0]!.port > 0 && cluster.writes === 1);
    t.equal(client.sessionsNow.length, 0, `${version}: no session before the members have it`);
    cluster.release();
    t.ok((await client.sessions(1)).length > 0);
    t.ok(started[0]!.counters.sessions.count(['done']) > 0);
    client.end();
  }
});

t.test('a client gets its session although a member is silent, and that is counted', async (t) => {
  const { cluster, ports, started } = await fronts(t, 2, {
    sessions: { ...options.sessions, holdMs: 20 },
  });
  cluster.hold();
  const client = await TlsClient.connect(pki, ports[0] ?? 0);
  await client.sessions(2);
  t.equal(started[0]!.counters.sessions.count(['late']), 2);
  client.end();
});

t.test('without room in the cache clients are served, and resume nothing', async (t) => {
  const { cluster, ports, started } = await fronts(t, 1);
  cluster.members[0]!.full = true;
  const client = await TlsClient.connect(pki, ports[0] ?? 0);
  const [session] = await client.sessions(2);
  t.equal(started[0]!.counters.sessions.count(['failed']), 2);
  const again = await TlsClient.connect(pki, ports[0] ?? 0, given(session));
  t.equal(again.resumed, false);
  for (const { socket } of [client, again]) socket.destroy();
});

t.test('a renewed TLS 1.3 session stays in its lineage and within its bound', async (t) => {
  const { cluster, ports, started } = await fronts(t, 1, {
    sessions: { ...options.sessions, lineageMs: 90_000 },
  });
  let session: Buffer | undefined;
  for (let turn = 0; turn < 4; turn += 1) {
    const client = await TlsClient.connect(pki, ports[0] ?? 0, given(session));
    [session] = await client.sessions(1);
    client.end();
  }
  const { seen } = started[0]!;
  t.equal(new Set(seen.map(({ lineage }) => Buffer.from(lineage).toString('hex'))).size, 1);
  const [entry] = cluster.members[0]!.list(Table.session, 10);
  t.ok((entry?.expiresAt ?? Infinity) < Date.now() + 90_000 + 60_000 + 1_000);
});

t.test('a session ends with the client certificate that made it', async (t) => {
  const { cluster, ports } = await fronts(t, 1, {
    sessions: { ...options.sessions, beforeLoginMs: 30 * 86_400_000, lineageMs: 20 * 86_400_000 },
  });
  const { certificate, key } = pki.client('short', { days: 1 });
  const client = await TlsClient.connect(pki, ports[0] ?? 0, { cert: certificate, key });
  await client.sessions(1);
  client.end();
  const [entry] = cluster.members[0]!.list(Table.session, 10);
  t.ok((entry?.expiresAt ?? Infinity) < Date.now() + 1.1 * 86_400_000);
});

function given(session: Buffer | undefined): { session: Buffer } | object {
  return session ? { session } : {};
}
