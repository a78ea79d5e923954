import { readdirSync } from 'node:fs';
import t from 'tap';
import { flow } from '../src/benchmarks/flow.ts';
import { runBenchmark } from '../src/index.ts';
import { Namespaces, whyNoNamespaces } from '../src/namespaces.ts';

const SMALL = { rounds: 1, seconds: 1, small: true, profile: undefined, portBase: 17_900 };
const skip = whyNoNamespaces() ?? false;

t.test('over a narrow line every way of pacing brings something', { skip }, async (t) => {
  const [load = ''] = flow.loads;
  const options = { ...SMALL, only: [], loads: [load], progress: () => undefined };
  const { rows, failures } = await runBenchmark(flow, options);
  t.same(failures, []);
  for (const { contender, samples } of rows)
    t.ok((samples[0]?.['mbit'] ?? 0) > 0, `${contender}: ${JSON.stringify(samples[0])}`);
});

t.test('namespaces leave nothing behind', { skip }, (t) => {
  const left = () => readdirSync('/run/netns').filter((name) => name.includes(`-${process.pid}-`));
  const namespaces = new Namespaces(2, 'sender');
  t.equal(left().length, 3, 'two hosts and a bridge');
  namespaces[Symbol.dispose]();
  t.same(left(), []);
  t.end();
});
