import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { readFileSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { folder } from './fixture.ts';
import { argyle, Running, until } from './run-argyle.ts';

const BASE = 23_600;
const CLIENT_PORT = 23_699;

/** An admin endpoint that says so. */
async function admin(t: Test, pages: Readonly<Record<string, unknown>>): Promise<string> {
  const server: Server = createServer((request, response) => {
    response.end(JSON.stringify(pages[request.url ?? ''] ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

t.test('of a client it tells the node in use and why, and where it looks for nodes', async (t) => {
  const url = await admin(t, {
    '/readyz': { ready: true, reason: '' },
    '/api/v1/cluster': {
      node: 'node:11080 (192.0.2.2)',
      address: '192.0.2.2:11080',
      reason: 'fastest: 0.8 ms against 1.2 ms',
      nodes: [
        {
          endpoint: 'node:11080 (192.0.2.1)',
          address: '192.0.2.1:11080',
          inUse: false,
          state: 'failed',
          delayMs: null,
        },
        {
          endpoint: 'node:11080 (192.0.2.2)',
          address: '192.0.2.2:11080',
          inUse: true,
          state: 'reached',
          delayMs: 0.8123,
        },
      ],
      udp: {
        associations: 3,
        overTls: 1,
        blocked: true,
        nodes: [{ address: '192.0.2.2:11080', used: 2, standby: 1 }],
      },
    },
  });
  const { code, out } = await argyle(t, ['status', '--admin', url]);
  t.equal(code, 0);
  const { host } = new URL(url);
  t.match(out, `${host} uses node:11080 (192.0.2.2): fastest: 0.8 ms against 1.2 ms\n`);
  const ways = '2 at 192.0.2.2:11080 (standby for 1), 1 over TLS';
  t.match(out, `${host} has 3 associations of UDP: ${ways}\n`);
  t.match(out, `${host}: no node answers over UDP\n`);
  t.match(out, /^node:11080 \(192\.0\.2\.1\) +failed$/m);
  t.match(out, /^node:11080 \(192\.0\.2\.2\) +reached +0\.8 ms +in use$/m);
});

t.test('what is no endpoint of ours is told as such', async (t) => {
  const url = await admin(t, {
    '/readyz': { ready: true, reason: '' },
    '/api/v1/cluster': { node: 1 },
  });
  const { code, err } = await argyle(t, ['status', '--admin', url]);
  t.equal(code, 1);
  t.match(err, 'not an Argyle endpoint');
});

t.test('a running client shows the address that a name of the hosts file has', async (t) => {
  const home = join(folder(t), 'home');
  const ports = ['--port-base', String(BASE), '--client-port', String(CLIENT_PORT)];
  await argyle(t, ['init', '--home', home, '--nodes', '1', ...ports]);
  const file = join(home, 'client.yaml');
  const said = readFileSync(file, 'utf8');
  t.match(said, `127.0.0.1:${BASE + 1}`);
  writeFileSync(file, said.replace(`127.0.0.1:${BASE + 1}`, `localhost:${BASE + 1}`));
  const client = new Running(t, ['client', '--config', file]);
  const url = `http://127.0.0.1:${BASE + 1_000}`;
  const found = new RegExp(`^localhost:${BASE + 1} \\(127\\.0\\.0\\.1\\) +failed$`, 'm');
  await until(async () => found.test((await argyle(t, ['status', '--admin', url])).out));
  client.child.kill('SIGTERM');
  t.equal((await client.done).code, 0);
});
