import { readFileSync, rmSync, statSync } from 'node:fs';
import t from 'tap';
import { RealCluster, until } from './real-cluster.ts';

const east = await RealCluster.open();
const west = await RealCluster.open();
t.teardown(async () => {
  await east.remove();
  await west.remove();
});

t.test('two clusters with other bases and homes run beside each other', async (t) => {
  await Promise.all([east.up(2), west.up(2)]);
  for (const cluster of [east, west]) {
    const { view } = await cluster.cluster(1);
    t.same([...view.members].sort(), ['node-1', 'node-2']);
  }
  await east.down();
  t.same((await west.cluster(1)).view.members.length, 2, 'the other one goes on');
});

t.test('what has been made before is used again, and what is missing is made', async (t) => {
  const key = west.read('cluster.key');
  for (const name of ['node-2.pem', 'node-2.key.pem']) rmSync(west.file(name));
  t.match(await west.up(3), /node-1 .*runs/);
  t.equal(west.read('cluster.key'), key);
  await until('three members', 5_000, async () => {
    return (await west.cluster(1)).view.members.length === 3;
  });
});

t.test('secrets are their owner’s alone', (t) => {
  for (const name of ['cluster.key', 'node-1.key.pem', 'users.yaml', 'client.yaml']) {
    t.equal(statSync(west.file(name)).mode & 0o077, 0, name);
  }
  t.equal(statSync(west.home).mode & 0o077, 0, 'the home');
  t.end();
});

t.test('scripts/kill wants the number of a node that runs', async (t) => {
  for (const argument of ['', '9', 'x']) {
    const { code, output } = await west.script('kill', ...(argument ? [argument] : []));
    t.not(code, 0, argument);
    t.ok(output.length > 0);
  }
});

t.test('no log, page or view holds a secret', async (t) => {
  const password = /password: (\S+)/.exec(west.read('client.yaml'))?.[1] ?? '';
  const key = west.read('cluster.key').trim().split('\n').at(-1) ?? '';
  t.ok(password.length >= 16 && key.length >= 40);
  const seen = [1, 2, 3].map((index) => west.read(`node-${index}.log`));
  seen.push(west.read('client.log'));
  for (const index of [0, 1]) {
    for (const path of ['/metrics', '/api/v1/cluster', '/api/v1/cache', '/api/v1/sessions']) {
      const answer = await fetch(`http://127.0.0.1:${west.base + 1_000 + index}${path}`);
      seen.push(await answer.text());
    }
  }
  for (const text of seen) {
    t.notOk(text.includes(password), 'no password');
    t.notOk(text.includes(key), 'no cluster key');
  }
});

t.test('a stopped node frees its ports, and its log says how it went', async (t) => {
  const log = west.file('node-1.log');
  await west.down();
  const last = readFileSync(log, 'utf8').trim().split('\n').slice(-5).join('\n');
  t.match(last, /stopp|drain/i);
  await west.up(2);
  t.equal((await west.cluster(1)).view.members.length, 2);
});
