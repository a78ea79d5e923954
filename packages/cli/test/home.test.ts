import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SystemHost } from '@argyle/host/system';
import { loadClientConfig } from '../src/config/client-config.ts';
import { loadNodeConfig } from '../src/config/node-config.ts';
import { CliError } from '../src/exit-code.ts';
import { Home } from '../src/home.ts';
import { planHome } from '../src/local/plan.ts';
import { HomeMaker } from '../src/make-home.ts';
import { listUsers } from '../src/users-edit.ts';
import { folder, wallMs } from './fixture.ts';

const PORTS = { portBase: '23000', clientPort: '23900' };

async function make(path: string, nodes: number): Promise<ReadonlyMap<string, string>> {
  const home = new Home(path);
  const plan = planHome(home, { nodes: String(nodes), ...PORTS });
  const files = await new HomeMaker(new SystemHost(), home).make(plan);
  return new Map(files.map(({ path: file, made }) => [file.slice(path.length + 1), made]));
}

function contents(path: string): ReadonlyMap<string, string> {
  return new Map(readdirSync(path).map((name) => [name, readFileSync(join(path, name), 'utf8')]));
}

t.setTimeout(90_000);

t.test('a new home has all that its nodes and its client need, for its owner alone', async (t) => {
  const path = join(folder(t), 'home');
  const made = await make(path, 2);
  t.same([...made.keys()].toSorted(), readdirSync(path).toSorted());
  t.same(new Set(made.values()), new Set(['made']));
  t.equal(statSync(path).mode & 0o777, 0o700);
  for (const name of made.keys()) t.equal(statSync(join(path, name)).mode & 0o777, 0o600, name);

  const node = loadNodeConfig(join(path, 'node-2.yaml'), wallMs());
  t.same(node.warnings, []);
  t.match(node.options, {
    name: 'node-2',
    listen: { address: '127.0.0.1', port: 23_002 },
    group: {
      address: { address: '239.192.0.1', port: 25_000 },
      interfaceAddress: '127.0.0.1',
      ownPort: 25_002,
      members: [{ address: '127.0.0.1', port: 25_001 }],
    },
    rules: [
      { action: 'allow', networks: ['127.0.0.0/8', '::1/128', '198.18.0.0/15'] },
      { action: 'allow', networks: [] },
    ],
  });
  t.same(node.admin, { address: '127.0.0.1', port: 24_002 });
  const client = loadClientConfig(join(path, 'client.yaml'), wallMs());
  t.same(client.warnings, []);
  t.match(client.options, {
    listen: { address: '127.0.0.1', port: 23_900 },
    nodes: [{ port: 23_001 }, { port: 23_002 }],
    serverName: 'argyle.cluster',
    user: { name: 'demo' },
  });
  t.same(client.admin, { address: '127.0.0.1', port: 24_000 });
});

t.test(
  'no user reaches an admin or group port of the home, not even of nodes to come',
  async (t) => {
    const path = folder(t);
    await make(path, 1);
    const { options } = loadNodeConfig(join(path, 'node-1.yaml'), wallMs());
    const ports = new Set(options.protectedEndpoints.map(({ port }) => port));
    for (const port of [24_000, 24_001, 24_063, 25_000, 25_001, 25_063])
      t.equal(ports.has(port), true, String(port));
  },
);

t.test('the password is in clear in the client file alone, and opens the entry', async (t) => {
  const path = folder(t);
  await make(path, 1);
  const { options } = loadClientConfig(join(path, 'client.yaml'), wallMs());
  const password = options.user?.password ?? '';
  t.match(password, /^[\w-]{24}$/);
  for (const [name, text] of contents(path))
    t.equal(text.includes(password), name === 'client.yaml', name);
});

t.test('made again, nothing changes', async (t) => {
  const path = folder(t);
  await make(path, 2);
  const before = contents(path);
  const again = await make(path, 2);
  t.same(new Set(again.values()), new Set(['kept']));
  t.same(contents(path), before);
});

t.test('grown, it keeps what it had and tells the client of the new nodes', async (t) => {
  const path = folder(t);
  await make(path, 2);
  const before = contents(path);
  const grown = await make(path, 4);
  const changed = [...grown].filter(([, made]) => made !== 'kept').map(([name]) => name);
  t.same(changed.toSorted(), [
    'client.yaml',
    ...['node-3.key.pem', 'node-3.pem', 'node-3.yaml'],
    ...['node-4.key.pem', 'node-4.pem', 'node-4.yaml'],
  ]);
  const after = contents(path);
  for (const [name, text] of before)
    if (name !== 'client.yaml') t.equal(after.get(name), text, name);
  const { options } = loadClientConfig(join(path, 'client.yaml'), wallMs());
  t.same(
    options.nodes.map(({ port }) => port),
    [23_001, 23_002, 23_003, 23_004],
  );
  t.match(after.get('client.yaml'), /^# Written by/, 'comments stay');
});

t.test('certificates verify, and a node carries the name of the cluster', async (t) => {
  const path = folder(t);
  await make(path, 1);
  const openssl = (...args: readonly string[]) =>
    execFileSync('openssl', args, { cwd: path, encoding: 'utf8', stdio: 'pipe' });
  t.match(
    openssl(
      ...['verify', '-x509_strict', '-CAfile', 'ca.pem', '-purpose', 'sslserver'],
      ...['-verify_hostname', 'argyle.cluster', 'node-1.pem'],
    ),
    'node-1.pem: OK',
  );
  const text = openssl('x509', '-in', 'node-1.pem', '-noout', '-text');
  t.match(text, /Public-Key: \(2048 bit\)/);
  t.match(text, /Signature Algorithm: sha256WithRSAEncryption/);
  t.match(text, /DNS:argyle\.cluster, DNS:node-1/);
  t.throws(() => openssl('verify', '-CAfile', 'node-1.pem', 'node-1.pem'));
});

t.test('what is lost is made again so that the rest still fits', async (t) => {
  const path = folder(t);
  await make(path, 1);
  const password = loadClientConfig(join(path, 'client.yaml'), wallMs()).options.user?.password;

  rmSync(join(path, 'users.yaml'));
  t.equal((await make(path, 1)).get('users.yaml'), 'made');
  t.equal(listUsers(join(path, 'users.yaml')).has('demo'), true);
  t.equal(loadClientConfig(join(path, 'client.yaml'), wallMs()).options.user?.password, password);

  rmSync(join(path, 'client.yaml'));
  const again = await make(path, 1);
  t.equal(again.get('client.yaml'), 'made');
  t.equal(again.get('users.yaml'), 'changed', 'a password that nobody knows any more is replaced');

  rmSync(join(path, 'node-1.key.pem'));
  await make(path, 1);
  t.same(loadNodeConfig(join(path, 'node-1.yaml'), wallMs()).warnings, []);
});

t.test('what cannot be made without undoing something is refused', async (t) => {
  const path = folder(t);
  await make(path, 1);
  rmSync(join(path, 'ca.key.pem'));
  await t.rejects(make(path, 2), { code: 'missing', message: /ca\.key\.pem is missing/ });
});

t.test('an authority that cannot sign is told', async (t) => {
  const path = folder(t);
  await make(path, 1);
  writeFileSync(join(path, 'ca.key.pem'), 'hunter2');
  const error = await make(path, 2).catch((error: unknown) => error);
  t.match(error, { code: 'failed', message: /ca\.key\.pem are no RSA authority/ });
  t.notMatch((error as CliError).message, 'hunter2');
});

t.test('other ports than the home has are refused', async (t) => {
  const path = folder(t);
  await make(path, 1);
  const home = new Home(path);
  t.throws(() => planHome(home, { nodes: '1', portBase: '23500' }), {
    code: 'usage',
    message: /has ports counted from 23000, and 23500 is asked for/,
  });
  t.throws(() => planHome(home, { nodes: '1', clientPort: '23901' }), {
    code: 'usage',
    message: /has a client at port 23900, and 23901 is asked for/,
  });
  t.match(planHome(home, { nodes: undefined }), { nodes: 1, ports: { base: 23_000 } });
});

t.test('a home for containers has one file for all nodes, and two for clients', async (t) => {
  const path = folder(t);
  const make = () => new HomeMaker(new SystemHost(), new Home(path)).make({ kind: 'containers' });
  t.equal((await make()).length, 9);
  const clients = ['client', 'balanced-client'].map((name) => {
    return loadClientConfig(join(path, `${name}.yaml`), wallMs()).options;
  });
  t.same(
    clients.map(({ nodes }) => nodes),
    [[{ address: 'node', port: 11_080 }], [{ address: 'balancer', port: 11_080 }]],
  );
  t.same(clients[1]?.user, clients[0]?.user);
  rmSync(join(path, 'balanced-client.yaml'));
  const again = (await make()).filter(({ made }) => made !== 'kept');
  t.same(again, [{ path: join(path, 'balanced-client.yaml'), made: 'made' }]);
  t.same(loadClientConfig(again[0]!.path, wallMs()).options.user, clients[0]?.user, 'as it was');
  const text = readFileSync(join(path, 'node.yaml'), 'utf8');
  t.match(text, 'listen: 0.0.0.0:11080');
  t.match(text, 'ports: [11080, 12080, 13081]');
});
