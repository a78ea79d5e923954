import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import t, { type Test } from 'tap';
import { Capture } from './capture.ts';
import { addHomeSecrets, Spy } from './known-secrets.ts';
import { NoiseSource } from './noise.ts';
import { missing, RealCluster } from './real-cluster.ts';
import { type Answers, runHard, type Scene } from './secret-run.ts';
import { encodings, SecretSearch } from './secret-search.ts';

const PLANTED = randomBytes(32);
/** Where a secret may lie: its own file, and nowhere else. */
const BELONGS: readonly [RegExp, RegExp][] = [
  [/^cluster\.key$/, /^the cluster key/],
  [/^client\.yaml$/, /^the password,/],
  [/^users\.yaml$/, /^a password’s/],
  [/\.key\.pem$/, / of .*\.key\.pem,/],
];

t.test('every encoding of a secret is found, wherever it begins', (t) => {
  const search = new SecretSearch();
  search.add('planted', PLANTED);
  const texts = [
    PLANTED.toString('hex'),
    PLANTED.toString('hex').toUpperCase(),
    PLANTED.toString('base64'),
    PLANTED.toString('base64url'),
    `x${Buffer.concat([Buffer.from('x'), PLANTED]).toString('base64')}`,
    `xx${Buffer.concat([Buffer.from('xx'), PLANTED]).toString('base64url')}`,
    `[ ${PLANTED.join(', ')} ]`,
    `[\n  ${PLANTED.join(',\n  ')}\n]`,
    JSON.stringify(PLANTED),
    JSON.stringify(Uint8Array.from(PLANTED)),
    PLANTED.toString('hex').replaceAll(/(..)(?=.)/g, '$1:'),
    `<Buffer ${PLANTED.toString('hex').replaceAll(/(..)/g, '$1 ')}>`,
    `key: ${PLANTED.subarray(0, 8).toString('base64')}…`,
    `key: ${PLANTED.subarray(-8).toString('hex')}`,
  ];
  for (const text of texts) {
    t.ok(search.find(`{"level":30,"msg":"${text}"}`).length > 0, text.slice(0, 40));
  }
  t.ok(search.find(Buffer.concat([randomBytes(1_000), PLANTED, randomBytes(10)])).length > 0);
  t.same(search.find(randomBytes(1_000_000)), [], 'and not in noise');
  t.equal(encodings(PLANTED.subarray(0, 8), 0).length, 12);
  t.end();
});

const noTool = (await missing('tcpdump')) || (await missing('openssl')) || (await missing('curl'));

t.test('no secret leaves the place where it belongs', { skip: noTool }, async (t) => {
  const scene = await openScene(t);
  const { cluster, search, said } = scene;
  const group = cluster.base + 2_000;
  const between = await watch(scene, 'between', `portrange ${group}-${group + 9}`);
  const ports = `portrange ${cluster.nodePort(1)}-${cluster.nodePort(9)}`;
  const clients = await watch(scene, 'clients', ports);
  said.set('argyle up', await cluster.up());
  const spy = await Spy.join(search, cluster);
  t.teardown(() => spy.leave());
  const answers = await runHard(t, scene);
  await spy.leave();
  said.set('argyle down', await cluster.down());
  t.comment(`${search.size} secrets, ${spy.ids.size} sessions`);
  t.ok(spy.ids.size > 20);
  // One at each node by hand, and one of the client's.
  t.ok(spy.associations.size >= 4, `${spy.associations.size} associations`);

  await t.test('the search sees what passes and what is written', async (t) => {
    await provesItself(t, scene, answers, between);
    const ids = new SecretSearch();
    for (const id of spy.ids) ids.add('a session id', Buffer.from(id, 'hex'));
    t.ok(ids.find(await clients.stop()).length > 0, 'clients show ids, by the nature of TLS');
  });
  await t.test('nothing between the nodes', async (t) => {
    t.same(search.find(await between.stop()), []);
  });
  await t.test('only session ids between clients and nodes', async (t) => {
    const found = search.find(await clients.stop());
    const others = found.filter((one) => !/session id|ticket|Session-ID/i.test(one));
    t.same(others, []);
  });
  await t.test('nothing in what commands say', async (t) => {
    for (const [command, output] of said) {
      t.same(search.find(output), [], command);
      if (command.includes('--print-config')) t.match(output, /level: debug/, 'most talkative');
    }
  });
  await t.test('nothing in metrics, views, command lines and environments', async (t) => {
    t.ok(answers.pages.size > 20, `${answers.pages.size} pages`);
    for (const [path, text] of answers.pages) t.same(search.find(text), [], path);
  });
  await t.test('nothing in logs and other files, but each in its own', async (t) => {
    for (const file of filesOf(cluster.home)) checkFile(t, scene, file);
  });
});

/** A home whose processes say all that they can, and write where it is seen. */
async function openScene(t: Test): Promise<Scene> {
  const cluster = await RealCluster.open();
  const outside = mkdtempSync(join(tmpdir(), 'argyle-secrets-'));
  t.teardown(async () => {
    await cluster.remove();
    rmSync(outside, { recursive: true, force: true });
  });
  const search = new SecretSearch();
  const said = new Map<string, string>();
  for (const name of ['TMPDIR', 'HOME']) {
    mkdirSync(cluster.file(name));
    process.env[name] = cluster.file(name);
  }
  const argyle = async (...args: string[]) => {
    const { code, output } = await cluster.script('argyle', ...args);
    said.set(`argyle ${args.join(' ')}`, output);
    return { code, output };
  };
  await argyle('init', '--nodes', '3');
  for (const name of ['node-1', 'node-2', 'node-3', 'client']) {
    appendFileSync(cluster.file(`${name}.yaml`), '\nlog:\n  level: debug\n');
  }
  addHomeSecrets(search, cluster);
  return { cluster, search, said, argyle, outside };
}

function watch({ outside }: Scene, name: string, filter: string): Promise<Capture> {
  return Capture.start(join(outside, `${name}.pcap`), filter);
}

/** What is planted in a log and in a datagram is found there, and there only. */
async function provesItself(t: Test, scene: Scene, answers: Answers, between: Capture) {
  const { cluster } = scene;
  const planted = new SecretSearch();
  planted.add('planted', PLANTED);
  const log = cluster.file('TMPDIR/planted.log');
  const line = { level: 20, msg: 'planted', secret: PLANTED.toString('base64') };
  writeFileSync(log, `${JSON.stringify(line)}\n`);
  const files = [...filesOf(cluster.home)];
  const found = files.filter((file) => planted.find(readFileSync(file)).length > 0);
  t.same(found, [log]);
  const source = await NoiseSource.open(1);
  source.send(PLANTED, { address: '239.192.0.1', port: cluster.base + 2_000 }, 'planted');
  await source.close();
  const seen = await between.stop();
  t.ok(planted.find(seen).length > 0, 'in the capture');
  const own = new SecretSearch();
  own.add('the cluster id', answers.clusterId);
  t.ok(own.find(seen).length > 0, 'as are the cluster’s own segments');
  t.comment(`${seen.length} bytes between nodes, ${files.length} files`);
}

function checkFile(t: Test, { cluster, search }: Scene, file: string): void {
  const name = relative(cluster.home, file);
  const belongs = BELONGS.filter(([pattern]) => pattern.test(name)).map(([, what]) => what);
  const found = search.find(readFileSync(file));
  const others = found.filter((one) => !belongs.some((what) => what.test(one)));
  t.same(others, [], name);
  if (found.length > 0) t.equal(statSync(file).mode & 0o777, 0o600, `${name} is its owner’s`);
  const missed = belongs.filter((what) => !found.some((one) => what.test(one)));
  t.same(missed, [], `${name} holds its own`);
}

function* filesOf(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesOf(path);
    else if (entry.isFile()) yield path;
  }
}
