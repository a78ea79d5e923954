import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { Admin, AdminError, type AdminOptions, type AdminSource } from '../src/index.ts';
import { silent, sourceOf } from './source.ts';

const LOOPBACK = '127.0.0.1';

interface Opened {
  readonly admin: Admin;
  readonly port: number;
  readonly url: string;
}

async function open(
  t: Test,
  changes: Partial<AdminSource> = {},
  log: AdminOptions['log'] = silent,
  address = LOOPBACK,
): Promise<Opened> {
  const source = sourceOf(changes);
  const admin = new Admin({ source, listen: { address, port: 0 }, log });
  const { port } = await admin.listen();
  t.teardown(() => admin.close());
  return { admin, port, url: `http://${LOOPBACK}:${port}` };
}

/** Sends raw bytes and reads to the end. */
async function raw(port: number, request: string): Promise<string> {
  const socket = connect(port, LOOPBACK);
  socket.end(request);
  return text(socket);
}

t.test('it is healthy while it serves, and ready when the source is', async (t) => {
  let readiness = { ready: false, reason: 'synchronising with node-2' };
  const { url } = await open(t, { readiness: () => readiness });
  t.equal((await fetch(`${url}/healthz`)).status, 200);

  const early = await fetch(`${url}/readyz`);
  t.equal(early.status, 503);
  t.same(await early.json(), readiness);

  readiness = { ready: true, reason: '' };
  t.equal((await fetch(`${url}/readyz`)).status, 200);
});

t.test('metrics are in the Prometheus text format', async (t) => {
  const { url } = await open(t);
  const answer = await fetch(`${url}/metrics`);
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  t.match(await answer.text(), /^argyle_cache_records 7$/m);
});

t.test('a view gets the limit that was asked for, or a hundred', async (t) => {
  const { url } = await open(t);
  const asked = await fetch(`${url}/api/v1/cluster?limit=10000`);
  t.same(await asked.json(), { limit: 10_000, members: [] });
  const plain = await fetch(`${url}/api/v1/cluster`);
  t.same(await plain.json(), { limit: 100, members: [] });
  t.match(plain.headers.get('content-type'), /^application\/json/);
});

t.test('a limit that is none is refused before the view is asked', async (t) => {
  let asked = 0;
  const { url } = await open(t, { views: { cluster: () => (asked += 1) } });
  for (const query of ['limit=0', 'limit=10001', 'limit=1.5', 'limit=all', 'limit=-1', 'rows=5']) {
    const answer = await fetch(`${url}/api/v1/cluster?${query}`);
    t.equal(answer.status, 400, query);
  }
  t.equal(asked, 0);
});

t.test('the index lists every path that there is', async (t) => {
  const { url } = await open(t);
  const page = await (await fetch(url)).text();
  for (const path of ['/healthz', '/readyz', '/metrics', '/api/v1/cluster']) {
    t.match(page, `href="${path}"`);
    t.equal((await fetch(url + path)).status, 200, path);
  }
  t.equal((await fetch(`${url}/api/v1/nothing`)).status, 404);
  t.equal((await fetch(`${url}/healthz`, { method: 'POST' })).status, 404);
});

t.test('no other origin may read an answer', async (t) => {
  const { url } = await open(t);
  const answer = await fetch(`${url}/api/v1/cluster`, {
    headers: { origin: 'http://rebound.example' },
  });
  t.equal(answer.headers.get('access-control-allow-origin'), null);
  t.equal(answer.headers.get('cross-origin-resource-policy'), 'same-origin');
  t.equal(answer.headers.get('cache-control'), 'no-store');
});

t.test('on loopback a name in the Host header is refused on every path', async (t) => {
  const { port } = await open(t);
  for (const path of ['/', '/healthz', '/metrics', '/api/v1/cluster', '/nothing']) {
    const answer = await raw(
      port,
      `GET ${path} HTTP/1.1\r\nhost: rebound.example\r\nconnection: close\r\n\r\n`,
    );
    t.match(answer, /^HTTP\/1\.1 421 /, path);
    t.notMatch(answer, 'members');
  }
  t.match(await raw(port, 'GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 421 /);
});

t.test('elsewhere the operator chose the name, and it is let in', async (t) => {
  const { port } = await open(t, {}, silent, '0.0.0.0');
  const answer = await raw(
    port,
    'GET /healthz HTTP/1.1\r\nhost: node-1.example\r\nconnection: close\r\n\r\n',
  );
  t.match(answer, /^HTTP\/1\.1 200 /);
});

t.test('what goes wrong inside stays inside', async (t) => {
  const secret = 'the-password-in-question';
  const logged: object[] = [];
  const fail = () => {
    throw new Error(secret);
  };
  const log = { error: (fields: object) => logged.push(fields) };
  const { url } = await open(t, { views: { cluster: fail }, metrics: fail, readiness: fail }, log);
  for (const path of ['/api/v1/cluster', '/metrics', '/readyz']) {
    const answer = await fetch(url + path);
    t.equal(answer.status, 500, path);
    t.notMatch(await answer.text(), secret);
  }
  t.match(logged[0], { event: 'admin-error', path: '/api/v1/cluster', at: /admin\.test\.ts/ });
  t.equal(logged.length, 3);
  t.notMatch(JSON.stringify(logged), secret);
});

t.test('a request may not be large', async (t) => {
  const { port } = await open(t);
  const long = await raw(
    port,
    `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(9_000)}\r\n\r\n`,
  );
  t.match(long, /^HTTP\/1\.1 431 /);
  const body = await raw(
    port,
    `POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: text/plain\r\n` +
      `content-length: 2000\r\n\r\n${'x'.repeat(2_000)}`,
  );
  t.match(body, /^HTTP\/1\.1 4\d\d /);
});

t.test('closing ends connections that are kept alive, and silent ones', async (t) => {
  const { admin, port } = await open(t);
  const kept = connect(port, LOOPBACK);
  kept.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await once(kept, 'data');
  const quiet = connect(port, LOOPBACK);
  await once(quiet, 'connect');
  const ends = Promise.all([once(kept.resume(), 'close'), once(quiet.resume(), 'close')]);
  await admin.close();
  await ends;
  t.equal(kept.destroyed && quiet.destroyed, true);
});

t.test('a port in use is said plainly', async (t) => {
  const { port } = await open(t);
  const second = new Admin({
    source: sourceOf(),
    listen: { address: LOOPBACK, port },
    log: silent,
  });
  t.teardown(() => second.close());
  const error = await second.listen().catch((error: unknown) => error);
  t.ok(error instanceof AdminError);
  t.match(error, {
    code: 'address-in-use',
    message: `the admin endpoint 127.0.0.1:${port} could not be opened: another process listens there`,
  });
});
