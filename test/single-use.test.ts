import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { RealCluster } from './real-cluster.ts';
import { visit } from './tls.ts';

const ROUNDS = process.env['ARGYLE_TEST_FULL'] === '1' ? 200 : 25;
const cluster = await RealCluster.open();
t.teardown(() => cluster.remove());

t.before(async () => {
  const made = await cluster.script(
    'argyle',
    'init',
    '--nodes',
    '2',
    '--port-base',
    String(cluster.base),
  );
  if (made.code !== 0) throw new Error(made.output);
  for (const name of ['node-1.yaml', 'node-2.yaml']) {
    const yaml = readFileSync(cluster.file(name), 'utf8');
    writeFileSync(cluster.file(name), `${yaml}\nsessions:\n  singleUse: true\n`);
  }
  await cluster.up(2);
});

t.test('a single-use session resumes once, at whichever node', async (t) => {
  const ca = cluster.read('ca.pem');
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const made = await visit(cluster.nodePort(1), ca, { maxVersion });
    const [session] = made.sessions;
    const used = await visit(cluster.nodePort(2), ca, { maxVersion, session: session! });
    t.ok(used.reused, `${maxVersion}: the first time`);
    for (const index of [1, 2]) {
      const again = await visit(cluster.nodePort(index), ca, { maxVersion, session: session! });
      t.notOk(again.reused, `${maxVersion}: again at node ${index}`);
    }
  }
});

t.test('of two resumptions at two nodes at once never both succeed', async (t) => {
  const ca = cluster.read('ca.pem');
  const outcomes = { both: 0, one: 0, none: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    const maxVersion = round % 2 ? 'TLSv1.2' : 'TLSv1.3';
    const { sessions } = await visit(cluster.nodePort(1), ca, { maxVersion });
    const visits = await Promise.all(
      [1, 2].map((index) =>
        visit(cluster.nodePort(index), ca, { maxVersion, session: sessions[0]! }),
      ),
    );
    const resumed = visits.filter(({ reused }) => reused).length;
    outcomes[resumed === 2 ? 'both' : resumed === 1 ? 'one' : 'none'] += 1;
  }
  t.comment(`${ROUNDS} rounds: `, outcomes);
  t.equal(outcomes.both, 0);
  t.ok(outcomes.one + outcomes.none === ROUNDS);
});
