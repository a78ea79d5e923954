import t from 'tap';
import { scale } from '../src/benchmarks/scale.ts';
import { runBenchmark } from '../src/index.ts';
import { drawPlot } from '../src/plot.ts';

const SMALL = { rounds: 1, seconds: 1, small: true, profile: undefined, portBase: 17_950 };

t.test('a write is one packet, and one from each who acknowledges; a plot shows it', async (t) => {
  const loads = ['16 members', '32 members'];
  const results = await runBenchmark(scale, {
    ...SMALL,
    ...{ only: [], progress: () => undefined },
    loads,
  });
  t.same(results.failures, []);
  t.same(
    results.rows.map(({ samples }) => samples[0]?.['packets']),
    [16, 5, 32, 5],
  );
  for (const { samples } of results.rows) {
    const { beats = 0, loadPackets = 0, loadRate = 0 } = samples[0] ?? {};
    t.ok(beats > 0 && loadPackets > 0 && loadRate > 0);
  }
  const { plot } = scale;
  if (!plot) throw new Error('it has a plot');
  const svg = drawPlot(results, plot);
  t.match(svg, /^<svg /);
  for (const { title } of plot.figures) t.ok(svg.includes(title), title);
  for (const { name } of scale.contenders) t.ok(svg.includes(name), name);
  t.notOk(svg.includes('NaN'));
});
