import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import {
  addHomeSecrets,
  addIncarnation,
  addOpensslSession,
  clusterKey,
  passwordOf,
} from './known-secrets.ts';
import { forge, GroupTap, NoiseSource } from './noise.ts';
import { sClient } from './openssl.ts';
import { type RealCluster, until } from './real-cluster.ts';
import { associate, openAssociation, sendThrough } from './secret-datagrams.ts';
import { fetchThrough, login, resumeForged, scan } from './secret-load.ts';
import type { SecretSearch } from './secret-search.ts';
import { visit } from './tls.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const ROUNDS = FULL ? 20 : 1;
const NODES = [1, 2, 3];
const SETTLE_MS = 10_000;

export interface Scene {
  readonly cluster: RealCluster;
  readonly search: SecretSearch;
  /** What commands have said, which is searched in the end. */
  readonly said: Map<string, string>;
  /** Runs a command of the program and keeps what it says. */
  readonly argyle: (...args: string[]) => Promise<{ code: number; output: string }>;
  /** A folder for what is no part of the cluster. */
  readonly outside: string;
}

export interface Answers {
  /** What HTTP said, by process and path. */
  readonly pages: Map<string, string>;
  /** No secret: every segment begins with it. */
  readonly clusterId: Buffer;
}

/** Everything that clients, strangers and operators do right and wrong; answers what HTTP said. */
export async function runHard(t: Test, scene: Scene): Promise<Answers> {
  const { cluster, search, argyle, outside } = scene;
  const ca = cluster.read('ca.pem');
  const port = cluster.base + 2_000;
  const wrong = randomBytes(18).toString('base64url');
  search.add('a wrong password', Buffer.from(wrong));
  const tap = await GroupTap.open({ address: '239.192.0.1', port });
  t.teardown(() => tap.close());
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const index of NODES) {
      t.equal(await login(cluster, index, 'demo', passwordOf(cluster)), 0, 'a good login');
      t.not(await login(cluster, index, 'demo', wrong), 0, 'a wrong password');
      t.not(await login(cluster, index, wrong, wrong), 0, 'a password as a name');
      for (const version of ['tls1_2', 'tls1_3']) {
        const file = join(outside, `session-${version}`);
        const args = [`-${version}`, '-sess_out', file];
        await sClient(cluster.file('ca.pem'), cluster.nodePort(index), args);
        t.ok((await addOpensslSession(search, file)) >= 1, `openssl’s session of ${version}`);
        await sClient(cluster.file('ca.pem'), cluster.nodePort(1), ['-sess_in', file]);
      }
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const { sessions } = await visit(cluster.nodePort(index), ca, { maxVersion });
        for (const session of sessions) await resumeForged(cluster, session);
      }
      await associate(cluster, index, search);
    }
    t.equal(await fetchThrough(cluster, 4), 4, 'fetches through the client');
    t.equal(await sendThrough(cluster, 4), 4, 'datagrams through it');
    await scan([
      ...NODES.flatMap((index) => [cluster.nodePort(index), port + index]),
      ...[0, ...NODES].map((index) => cluster.base + 1_000 + index),
      cluster.clientPort,
    ]);
    const noise = await NoiseSource.open(5);
    const recorded = tap.recorded.map(({ bytes }) => bytes);
    await noise.run(1_000, 500, (index) => {
      const kind = index % 2 === 0 ? 'random seal' : 'made-up incarnation';
      noise.send(forge(kind, recorded), { address: '239.192.0.1', port }, kind);
    });
    await noise.close();
    await cluster.kill(2);
    await fetchThrough(cluster, 2);
    await cluster.up();
    t.equal(await login(cluster, 2, 'demo', passwordOf(cluster)), 0, 'after its state transfer');
  }
  await operate(t, scene, wrong);
  const open = await openAssociation(cluster, 1, search);
  const pages = await allPages(cluster);
  open.client.close();
  t.match(pages.get('2/api/v1/associations'), /demo/, 'associations are told of');
  for (const name of ['node-1', 'client']) {
    for (const file of ['cmdline', 'environ']) {
      pages.set(`${file} of ${name}`, readProcess(cluster.read(`${name}.pid`), file));
    }
  }
  await argyle('status');
  await argyle('status', '--json');
  for (const incarnation of new Set(tap.recorded.map((segment) => segment.incarnation))) {
    addIncarnation(search, clusterKey(cluster), incarnation);
  }
  const [first] = tap.recorded;
  return { pages, clusterId: first?.bytes.subarray(8, 16) ?? Buffer.alloc(0) };
}

/** Commands, configurations that are wrong, and users that change while nodes run. */
async function operate(t: Test, scene: Scene, wrong: string): Promise<void> {
  const { cluster, search, argyle } = scene;
  const made = await cluster.script('argyle', 'user', 'add', 'alice');
  search.add('a generated password', Buffer.from(made.output.trim()));
  addHomeSecrets(search, cluster);
  t.equal(await untilLogin(cluster, 'alice', made.output.trim()), 0, 'a new user');
  await argyle('user', 'add', 'alice');
  await argyle('user', 'remove', 'alice');
  await argyle('certificate', 'laptop', '--client');
  await atOnce(
    [
      ['user', 'list'],
      ['keys', 'list'],
      ['user', 'add', 'carol', wrong],
      ['user', 'add', 'carol', '--password', wrong],
      ['certificate', 'laptop', '--client'],
      ['node', '--print-config', '--config', cluster.file('node-1.yaml')],
      ['client', '--print-config', '--config', cluster.file('client.yaml')],
      ['node', '--config', cluster.file('node-1.yaml')],
      ['client', '--config', cluster.file('client.yaml')],
      ['kill', '9'],
      ['up'],
    ].map((args) => () => argyle(...args)),
  );
  addHomeSecrets(search, cluster);
  const edits = wrongConfigurations(cluster);
  const chosen = edits.filter((_, index) => FULL || index % 2 === 0);
  await atOnce(
    chosen.map(([name, from, to], index) => async () => {
      const file = cluster.file(`wrong-${index}.yaml`);
      const text = cluster.read(`${name}.yaml`);
      t.ok(text.includes(from), from);
      writeFileSync(file, text.replace(from, to), { mode: 0o600 });
      const { code } = await argyle(name === 'client' ? 'client' : 'node', '--config', file);
      t.equal(code, 2, `refused: ${to.slice(0, 24)}`);
      rmSync(file);
    }),
  );
  for (const name of ['cluster.key', 'users.yaml', 'node-1.key.pem']) {
    const text = cluster.read(name);
    const damaged = [text.slice(0, -12), `${text}${text}`, text.replace(/[a-zA-Z]{4}$/m, '%')];
    for (const contents of damaged.slice(0, FULL ? 3 : 1)) {
      writeFileSync(cluster.file(name), contents);
      await argyle('node', '--config', cluster.file('node-1.yaml'));
    }
    writeFileSync(cluster.file(name), text);
  }
}

/** What people write in the wrong place: a configuration, and what stands in it for what. */
function wrongConfigurations(cluster: RealCluster): [string, string, string][] {
  const key = clusterKey(cluster).toString('base64');
  const pem = cluster.read('node-1.key.pem');
  const inline = pem.split('\n').slice(1, 4).join('');
  return [
    ['node-1', 'clusterKey: cluster.key', `clusterKey: ${key}`],
    ['node-1', 'clusterKey: cluster.key', `clusterKey: {value: ${key}}`],
    ['node-1', 'clusterKey: cluster.key', `clusterKey: [${key}]`],
    ['node-1', 'clusterKey: cluster.key', `clusterkey: ${key}`],
    ['node-1', 'clusterKey: cluster.key', `clusterKey: '${key}`],
    ['node-1', 'clusterKey: cluster.key', 'clusterKey: node-1.key.pem'],
    ['node-1', 'clusterKey: cluster.key', 'clusterKey: users.yaml'],
    ['node-1', 'key: node-1.key.pem', 'key: cluster.key'],
    ['node-1', 'key: node-1.key.pem', 'key: node-2.key.pem'],
    ['node-1', 'key: node-1.key.pem', `key: "${inline}"`],
    ['node-1', 'key: node-1.key.pem', `key: |\n    ${pem.replaceAll('\n', '\n    ')}`],
    ['node-1', 'certificate: node-1.pem', 'certificate: node-1.key.pem'],
    ['node-1', 'ca: ca.pem', 'ca: ca.key.pem'],
    ['node-1', 'users: users.yaml', 'users: client.yaml'],
    ['node-1', 'users: users.yaml', 'users: cluster.key'],
    ['node-1', 'users: users.yaml', `users: [{name: demo, password: ${passwordOf(cluster)}}]`],
    ['client', 'password: ', 'passwd: '],
    ['client', 'password: ', 'password '],
    ['client', 'password: ', 'password: "'],
    ['client', 'password: ', 'password: {a: '],
    ['client', 'ca: ca.pem', 'ca: users.yaml'],
  ];
}

/** Two at a time: there are as many cores. */
async function atOnce(commands: readonly (() => Promise<unknown>)[]): Promise<void> {
  const left = [...commands];
  const worker = async () => {
    for (let next = left.shift(); next; next = left.shift()) await next();
  };
  await Promise.all([worker(), worker()]);
}

async function untilLogin(cluster: RealCluster, user: string, password: string): Promise<number> {
  let answer = -1;
  await until(`${user} is let in`, SETTLE_MS, async () => {
    answer = await login(cluster, 1, user, password).catch(() => -1);
    return answer === 0;
  });
  return answer;
}

/** Every page that the nodes and the client name on their first one, and some that they do not. */
async function allPages(cluster: RealCluster): Promise<Map<string, string>> {
  const pages = new Map<string, string>();
  for (const index of [0, ...NODES]) {
    const at = `http://127.0.0.1:${cluster.base + 1_000 + index}`;
    const first = await (await fetch(at)).text();
    const paths = [...first.matchAll(/href="([^"]+)"/g)].map(([, path = '']) => path);
    for (const path of ['/', ...paths, '/nothing', '/api/v1/sessions?limit=10000', '/api/v1/x']) {
      pages.set(`${index}${path}`, await (await fetch(at + path)).text());
    }
  }
  return pages;
}

/** What every user of the machine may read of a process, or its children inherit. */
function readProcess(pid: string, file: string): string {
  return readFileSync(`/proc/${pid.trim()}/${file}`, 'latin1');
}
