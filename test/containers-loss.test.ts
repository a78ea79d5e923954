import t from 'tap';
import { LossyGroup } from './lossy-group.ts';
import { missing, until } from './real-cluster.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const MEMBERS = 3;
const LOSS = 0.05;
const WRITES = FULL ? 100_000 : 20_000;
const WRITERS = 64;
const SINGLE_WRITES = FULL ? 2_000 : 500;
const REPAIRED_MS = 20;
const EQUAL_MS = 10_000;
t.setTimeout(600_000);

const skip = process.getuid?.() === 0 ? await missing('iptables') : 'iptables needs root';
const group = new LossyGroup();
t.teardown(() => group.remove());

t.test('what is written while datagrams are lost both ways is everywhere', { skip }, async (t) => {
  await group.open(MEMBERS);
  await group.lose(LOSS);
  const [writer] = group.members;
  const began = performance.now();
  const written = await writer!.ask({ kind: 'write', writes: WRITES, writers: WRITERS });
  const seconds = (performance.now() - began) / 1_000;
  t.equal(written.failed, 0, 'each write was applied by all');
  const lost = await group.lost();
  t.ok(lost > WRITES / 1_000, `${lost} datagrams were lost, ${written.repairs} segments repaired`);
  t.comment(`${Math.round(WRITES / seconds)} writes/s in ${Math.round(seconds)} s`);
  t.comment('seconds for which each gate was the binding one: ', written.gates);
  await until('all replicas are equal', EQUAL_MS, async () => {
    const said = await group.status();
    const equal = new Set(said.map(({ digest }) => digest)).size === 1;
    return equal && said.every(({ records, others }) => records === WRITES && others === 2);
  });
});

t.test('half of the single losses are repaired soon', { skip }, async (t) => {
  const [writer] = group.members;
  const { repairedMs, failed } = await writer!.ask({
    kind: 'write',
    writes: SINGLE_WRITES,
    writers: 1,
  });
  t.equal(failed, 0);
  t.ok(repairedMs.length > SINGLE_WRITES / 20, `${repairedMs.length} writes met a loss`);
  const sorted = repairedMs.toSorted((a, b) => a - b);
  const [median = Infinity, most] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  t.comment(`${sorted.length} of ${SINGLE_WRITES} met a loss: median ${median.toFixed(1)} ms`);
  t.ok(median <= REPAIRED_MS, `median ${median.toFixed(1)} ms, at most ${most?.toFixed(1)} ms`);
  await group.heal();
});
