/** The scripts as an operator calls them, on ports and in a folder of their own. */
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { folder } from './fixture.ts';
import { isReady, type Ran } from './run-argyle.ts';

const BASE = 23_300;
const CLIENT_PORT = 23_399;
const SCRIPTS = join(import.meta.dirname, '../../../scripts');

interface Cluster {
  readonly home: string;
  script(name: string, ...args: readonly string[]): Promise<Ran>;
  pid(name: string): number;
}

function cluster(t: Test, base: number, clientPort: number): Cluster {
  const home = join(folder(t), 'home');
  const environment = {
    ...process.env,
    ARGYLE_HOME: home,
    ARGYLE_PORT_BASE: String(base),
    ARGYLE_CLIENT_PORT: String(clientPort),
  };
  const script = (name: string, ...args: readonly string[]) =>
    new Promise<Ran>((resolve) => {
      const path = join(SCRIPTS, name);
      const command = ['-u', 'NODE_OPTIONS', path, ...args];
      const child = execFile('env', command, { env: environment }, (_error, out, err) =>
        resolve({ code: child.exitCode, out, err }),
      );
    });
  t.teardown(() => script('down'));
  return {
    home,
    script,
    pid: (name) => Number(readFileSync(join(home, `${name}.pid`), 'utf8')),
  };
}

t.setTimeout(120_000);

t.test('up, kill, up again, grow, down, and another cluster beside it', async (t) => {
  const { home, script, pid } = cluster(t, BASE, CLIENT_PORT);
  const first = await script('up', '2');
  t.equal(first.code, 0, first.err);
  t.match(first.out, `node-2  127.0.0.1:${BASE + 2} (TLS)`);
  t.match(first.out, `http://127.0.0.1:${BASE + 1_002}  ${BASE + 2_002} `);
  t.match(first.out, `client  127.0.0.1:${CLIENT_PORT} (SOCKS5)  http://127.0.0.1:${BASE + 1_000}`);
  t.match(first.out, `curl --socks5-hostname 127.0.0.1:${CLIENT_PORT}`);
  const status = await script('argyle', 'status');
  t.equal(status.code, 0, status.err);
  t.match(status.out, /^hears +node-1 +node-2$/m);
  t.match(status.out, /^node-2 +(?:multicast|both) +-$/m);

  const again = await script('up', '2');
  t.equal(again.code, 0);
  t.equal([...again.out.matchAll(/already runs/g)].length, 3);

  const [one, two, client] = [pid('node-1'), pid('node-2'), pid('client')];
  const killed = await script('kill', '1');
  t.same(killed, { code: 0, out: `node-1 killed (process ${one})\n`, err: '' });
  t.equal((await script('kill', '1')).code, 1, 'one that does not run cannot be killed');
  t.equal((await script('argyle', 'status')).code, 1);

  const back = await script('up');
  t.equal(back.code, 0, back.err);
  t.not(pid('node-1'), one);
  t.same([pid('node-2'), pid('client')], [two, client], 'what ran was left alone');

  const grown = await script('up', '3');
  t.equal(grown.code, 0, grown.err);
  t.match(grown.out, 'node-3 started');
  t.match(grown.out, 'client started again');
  const view = await fetch(`http://127.0.0.1:${BASE + 1_003}/api/v1/cluster`);
  t.match(await view.json(), { self: { state: 'ready' }, members: { length: 2 } });

  const other = await neighbour(t);
  const down = await script('down');
  t.same(down, {
    code: 0,
    out: 'client stopped\nnode-1 stopped\nnode-2 stopped\nnode-3 stopped\n',
    err: '',
  });
  for (const name of ['node-1', 'node-2', 'node-3', 'client'])
    t.equal(existsSync(join(home, `${name}.pid`)), false);
  t.equal((await script('down')).out, `nothing runs in ${home}\n`);
  t.equal(await isReady(other), true);
});

/** Another cluster; its pid file holds the number of a process that is none of its own. */
async function neighbour(t: Test): Promise<number> {
  const base = BASE + 100;
  const { home, script, pid } = cluster(t, base, CLIENT_PORT + 100);
  await script('argyle', 'init', '--nodes', '1');
  const sleep = spawn('sleep', ['300']);
  t.teardown(() => sleep.kill());
  writeFileSync(join(home, 'node-1.pid'), `${sleep.pid}\n`);
  t.equal((await script('kill', '1')).code, 1);
  t.equal((await script('down')).out, `nothing runs in ${home}\n`);
  const up = await script('up', '1');
  t.equal(up.code, 0, up.err);
  t.match(up.out, 'node-1 started');
  t.not(pid('node-1'), sleep.pid);
  t.equal(sleep.exitCode, null, 'the other process was not touched');
  return base + 1_001;
}

t.test('what does not come up is told with the end of its log', async (t) => {
  const { home, script } = cluster(t, BASE + 200, CLIENT_PORT + 200);
  await script('argyle', 'init', '--nodes', '1');
  writeFileSync(join(home, 'users.yaml'), 'demo: hunter2\n', { mode: 0o600 });
  const { code, err } = await script('up', '1');
  t.equal(code, 1);
  t.match(err, 'node-1 ended with exit code 2');
  t.match(err, `the end of ${join(home, 'node-1.log')}:`);
  t.match(err, 'users.yaml:1: demo: found a value that is not shown, wanted a map');
});
