import { copyFileSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { RealCluster, until } from './real-cluster.ts';
import { visit } from './tls.ts';

const NODES = [1, 2, 3];
const SETTLED_MS = 10_000;
const VISIT_SPACING_MS = 50;
/** A member that hears nothing of the others is alone, and ready, after these. */
const EXCLUDED_MS = 10_000;

const cluster = await RealCluster.open();
t.teardown(() => cluster.remove());

async function rings(): Promise<string[]> {
  const views = await Promise.all(NODES.map((index) => cluster.cluster(index)));
  return views.map(({ self }) => self.keys.join(' '));
}

async function incarnations(): Promise<string[]> {
  const views = await Promise.all(NODES.map((index) => cluster.cluster(index)));
  return views.map(({ self }) => self.incarnation);
}

function sumOf(name: string, labels: Record<string, string> = {}): Promise<number> {
  const values = NODES.map((index) => cluster.metric(index, name, labels));
  return Promise.all(values).then((all) => all.reduce((sum, value) => sum + value, 0));
}

/**
 * A client that comes to one node after another until it is stopped, and keeps its sessions: not
 * more of them than nodes keep of strangers.
 */
function visitor(ca: string) {
  const sessions: { readonly at: number; readonly session: Buffer }[] = [];
  let stopped = false;
  const come = async () => {
    for (let at = 1; !stopped; at = (at % 3) + 1) {
      const made = await visit(cluster.nodePort(at), ca, { maxVersion: 'TLSv1.3' });
      for (const session of made.sessions.slice(0, 1)) sessions.push({ at, session });
      await sleep(VISIT_SPACING_MS);
    }
  };
  const ended = come();
  return {
    sessions,
    stop: async () => {
      stopped = true;
      await ended;
    },
  };
}

t.test(
  'the key is replaced while sessions are written, and every one of them resumes',
  async (t) => {
    await cluster.up(3);
    const [old = ''] = await rings();
    copyFileSync(cluster.file('cluster.key'), cluster.file('old.key'));
    const before = await incarnations();
    const changes = await sumOf('group_view_changes_total');
    const ca = cluster.read('ca.pem');
    const { sessions, stop } = visitor(ca);
    await until('some sessions', SETTLED_MS, () => sessions.length >= 10);
    const { code, output } = await cluster.script('argyle', 'keys', 'rotate');
    t.equal(code, 0, output);
    t.match(
      output,
      /added key [0-9a-f]{8}: it opens, .*\n.*promoted key .*\n.*removed all but key/,
    );
    const during = sessions.length;
    await until('more sessions', SETTLED_MS, () => sessions.length >= during + 10);
    await stop();

    const [fresh = '', ...others] = await rings();
    t.match(fresh, /^[0-9a-f]{8}$/);
    t.not(fresh, old);
    t.same(others, [fresh, fresh], 'all have the new key, and no other');
    t.same(await incarnations(), before, 'nobody began anew');
    t.equal(await sumOf('group_view_changes_total'), changes, 'or left the view');
    for (const outcome of ['timeout', 'restarted']) {
      t.equal(await sumOf('group_writes_total', { outcome }), 0, outcome);
    }
    let lost = 0;
    for (const { at, session } of sessions) {
      const elsewhere = cluster.nodePort((at % 3) + 1);
      const { reused } = await visit(elsewhere, ca, { maxVersion: 'TLSv1.3', session });
      if (!reused) lost += 1;
    }
    t.equal(lost, 0, `of ${sessions.length} sessions`);
    t.equal(statSync(cluster.file('cluster.key')).mode & 0o777, 0o600);
  },
);

t.test('the keys are listed by ids and ages, and their bytes by nobody', async (t) => {
  const [fresh = ''] = await rings();
  const listed = await cluster.script('argyle', 'keys', 'list');
  t.match(listed.output, new RegExp(`^${fresh}  seals  \\d+ (s|min)$`, 'm'));
  for (const index of NODES) t.match(listed.output, new RegExp(`^node-${index} +${fresh}$`, 'm'));
  const secret = cluster.read('cluster.key').trim().split(' ').at(-1) ?? '';
  t.equal(Buffer.from(secret, 'base64').length, 32);
  const seen = [listed.output, ...NODES.map((index) => cluster.read(`node-${index}.log`))];
  for (const text of seen) t.notOk(text.includes(secret));
});

t.test('a step that would cut a node off is not taken', async (t) => {
  await cluster.kill(3);
  const refused = await cluster.script('argyle', 'keys', 'rotate');
  t.equal(refused.code, 1);
  t.match(refused.output, /no step "promote": http:\S+ does not answer .*--force goes on without/);
  const forced = await cluster.script('argyle', 'keys', 'rotate', '--force');
  t.equal(forced.code, 0, forced.output);
  t.match(forced.output, /promoted key .*\n[^]*removed all but key/);
  await cluster.up(3);
  const [first, ...others] = await rings();
  t.same(others, [first, first], 'who was away reads the ring when it starts');
});

t.test('who has the removed key alone is refused, until it has the ring', async (t) => {
  await cluster.kill(3);
  const yaml = cluster.read('node-3.yaml');
  const wrong = yaml.replace('clusterKey: cluster.key', 'clusterKey: old.key');
  writeFileSync(cluster.file('node-3.yaml'), wrong, { mode: 0o600 });
  await cluster.up(3);
  await until('its segments are counted', EXCLUDED_MS, async () => {
    return cluster.metric(1, 'group_dropped_total', { reason: 'key' }).then(
      (count) => count > 0,
      () => false,
    );
  });
  t.same((await cluster.cluster(3)).view.members, ['node-3']);
  t.match(cluster.read('node-1.log'), 'the key that sealed it is not in the ring here');
  t.match(cluster.read('node-3.log'), 'the key that sealed it is not in the ring here');
  copyFileSync(cluster.file('cluster.key'), cluster.file('old.key'));
  await until('three members', SETTLED_MS, async () => {
    return (await cluster.cluster(1)).view.members.length === 3;
  });
  const [first, ...others] = await rings();
  t.same(others, [first, first]);
});

t.test('another cluster’s ring is not taken, and said so', async (t) => {
  const ring = cluster.read('cluster.key');
  const foreign = ring.replace(/^cluster .*$/m, 'cluster 0123456789abcdef');
  writeFileSync(cluster.file('cluster.key'), foreign, { mode: 0o600 });
  await until('it is refused', SETTLED_MS, () => {
    return cluster.read('node-1.log').includes('another cluster');
  });
  writeFileSync(cluster.file('cluster.key'), ring, { mode: 0o600 });
  t.same((await cluster.cluster(1)).view.members.length, 3);
});
