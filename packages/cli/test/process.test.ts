/** The real process: what its signals, its files and its neighbours do to it. */
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { alter, folder } from './fixture.ts';
import { Running, argyle, isReady, until } from './run-argyle.ts';

const BASE = 23_100;
const ADMIN = BASE + 1_001;

async function home(t: Test): Promise<string> {
  const path = folder(t);
  const ports = ['--port-base', String(BASE), '--client-port', '23199'];
  await argyle(t, ['init', '--home', path, '--nodes', '1', ...ports]);
  return path;
}

async function running(t: Test, path: string): Promise<Running> {
  const pidFile = join(path, 'pid');
  const config = join(path, 'node-1.yaml');
  const node = new Running(t, ['node', '--config', config, '--pid-file', pidFile]);
  await until(() => isReady(ADMIN));
  return node;
}

function messages(out: string): readonly Record<string, unknown>[] {
  return out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

t.setTimeout(90_000);

t.test('a node runs until SIGTERM, and says so in lines of JSON', async (t) => {
  const path = await home(t);
  const node = await running(t, path);
  t.equal(readFileSync(join(path, 'pid'), 'utf8'), `${node.child.pid}\n`);
  const status = await argyle(t, ['status', '--admin', `http://127.0.0.1:${ADMIN}`, '--json']);
  t.equal(status.code, 0);
  t.match(JSON.parse(status.out), {
    ok: true,
    processes: [{ kind: 'node', name: 'node-1', ready: true, members: 1 }],
  });
  node.child.kill('SIGTERM');
  const { code, out, err } = await node.done;
  t.equal(code, 0);
  t.equal(err, '');
  t.match(messages(out).at(-1), { event: 'stopped', name: 'node-1' });
  t.equal(existsSync(join(path, 'pid')), false);
  for (const port of [BASE + 1, ADMIN, BASE + 2_001]) t.equal(await listens(port), false);
});

t.test('a reader that leaves does not keep a command from its work', async (t) => {
  const path = folder(t);
  const init = new Running(t, ['init', '--home', path, '--nodes', '1']);
  init.child.stdout?.destroy();
  const code = await new Promise((resolve) => init.child.once('exit', resolve));
  t.equal(code, 0);
  t.ok(existsSync(join(path, 'client.yaml')), 'the last file is there');
});

t.test('a node serves on when there is no room for its log', async (t) => {
  const path = await home(t);
  const config = join(path, 'node-1.yaml');
  const script = 'exec "$@" > /dev/full';
  const node = new Running(t, ['node', '--config', config], {
    through: ['sh', '-c', script, 'sh'],
  });
  await until(() => isReady(ADMIN));
  node.child.kill('SIGTERM');
  t.match(await node.done, { code: 0, err: '' });
});

t.test('what another process holds is told, and the other is left alone', async (t) => {
  const path = await home(t);
  const first = await running(t, path);
  const config = join(path, 'node-1.yaml');
  const same = await argyle(t, ['node', '--config', config, '--pid-file', join(path, 'pid')]);
  t.equal(same.code, 1);
  t.match(same.err, `admin endpoint 127.0.0.1:${ADMIN} could not be opened: another process`);
  t.equal(readFileSync(join(path, 'pid'), 'utf8'), `${first.child.pid}\n`);

  alter(config, `admin: 127.0.0.1:${ADMIN}`, 'admin: 127.0.0.1:0');
  const port = await argyle(t, ['node', '--config', config]);
  t.equal(port.code, 1);
  t.match(port.err, `${BASE + 2_001}`);

  alter(config, `port: ${BASE + 2_001}`, 'port: 0');
  const name = await argyle(t, ['node', '--config', config]);
  t.equal(name.code, 1);
  t.match(name.err, /the name "node-1" is in use/);

  alter(config, 'name: node-1', 'name: node-2');
  const listen = await argyle(t, ['node', '--config', config]);
  t.equal(listen.code, 1);
  t.match(listen.err, `cannot listen on 127.0.0.1:${BASE + 1}`);
  t.equal(await isReady(ADMIN), true);
});

t.test('a wrong configuration opens nothing and ends with 2', async (t) => {
  const path = await home(t);
  alter(join(path, 'node-1.yaml'), 'name: node-1', 'nam: node-1');
  const node = await argyle(t, ['node', '--config', join(path, 'node-1.yaml')]);
  t.same(node, {
    code: 2,
    out: '',
    err: `${join(path, 'node-1.yaml')}:2: nam: found an unknown key, wanted "name"\n`,
  });
});

t.test('the list of users is read again when it changes, and on SIGHUP', async (t) => {
  const path = await home(t);
  const node = await running(t, path);
  let out = '';
  node.child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  await argyle(t, ['user', 'add', 'alice', '--home', path]);
  await until(() => out.includes('"msg":"2 users read"'));
  await argyle(t, ['user', 'remove', 'alice', '--home', path]);
  await until(() => out.includes('"msg":"1 users read"'));
  out = '';
  node.child.kill('SIGHUP');
  await until(() => out.includes('"msg":"1 users read"'));
  alter(join(path, 'users.yaml'), 'scrypt', 'hunter2');
  await until(() => out.includes('"event":"users-refused"'));
  t.match(out, 'demo.password: found a value that is not shown');
  t.notMatch(out, 'hunter2');
  t.equal(await isReady(ADMIN), true);
});

t.test('a client runs until SIGTERM as well, and is not ready without a node', async (t) => {
  const path = await home(t);
  const client = new Running(t, ['client', '--config', join(path, 'client.yaml')]);
  const admin = `http://127.0.0.1:${BASE + 1_000}`;
  await until(() => listens(BASE + 1_000));
  const status = await argyle(t, ['status', '--admin', admin]);
  t.equal(status.code, 1);
  t.match(status.err, /is not ready: no node was reached/);
  client.child.kill('SIGTERM');
  t.equal((await client.done).code, 0);
  t.equal(await listens(23_199), false);
});

t.test('forwards of the file and of the arguments listen while a client runs', async (t) => {
  const path = await home(t);
  const config = join(path, 'client.yaml');
  const args = ['client', '--config', config, '--forward', 'tcp:23198=192.0.2.80:80'];
  const twice = await argyle(t, [...args, '--forward', 'tcp:23198=192.0.2.80:81']);
  t.equal(twice.code, 2);
  t.match(twice.err, 'tcp:127.0.0.1:23198=192.0.2.80:81: its port is used twice');
  alter(
    config,
    'listen: 127.0.0.1:23199',
    "listen: 127.0.0.1:23199\nforwards: ['udp:23197=a.example:53']",
  );
  const client = new Running(t, args);
  await until(() => listens(23_198));
  const answer = await fetch(`http://127.0.0.1:${BASE + 1_000}/api/v1/cluster`);
  t.match(await answer.json(), {
    forwards: [
      { forward: 'udp:127.0.0.1:23197=a.example:53', flows: 0 },
      { forward: 'tcp:127.0.0.1:23198=192.0.2.80:80', flows: 0 },
    ],
  });
  client.child.kill('SIGTERM');
  t.equal((await client.done).code, 0);
  t.equal(await listens(23_198), false);
});

t.test('status tells what does not answer, and what is no Argyle endpoint', async (t) => {
  const path = await home(t);
  const { code, out, err } = await argyle(t, ['status', '--home', path]);
  t.equal(code, 1);
  t.match(out, /^name +state .*\nnode-1 +nothing listens\nclient +nothing listens\n$/);
  t.match(err, `node-1: nothing listens at http://127.0.0.1:${ADMIN}`);
  const empty = await argyle(t, ['status', '--home', folder(t)]);
  t.equal(empty.code, 1);
  t.match(empty.err, /has no node-1\.yaml: `argyle init` makes it/);
});
