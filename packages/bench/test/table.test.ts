import { readFileSync } from 'node:fs';
import t from 'tap';
import type { Benchmark } from '../src/benchmark.ts';
import { formatNumber, formatSpread, quantiles, spread } from '../src/figures.ts';
import { benchmarks, header, judge, report, type Results, type Row } from '../src/index.ts';
import { documentOf, withReport } from '../src/readme.ts';

const benchmark: Benchmark = {
  name: 'sample',
  question: 'What does it cost?',
  loads: ['some'],
  contenders: [],
  columns: [{ figure: 'cpuUs', title: 'CPU µs', digits: 1 }],
  baseline: { contender: 'theirs', figures: [{ figure: 'cpuUs', title: 'CPU' }] },
  bars: [
    {
      text: 'at most twice as much',
      load: 'some',
      contender: 'ours',
      figure: 'cpuUs',
      sense: 'at most',
      limit: 2,
      over: { load: 'some', contender: 'theirs' },
    },
  ],
  fresh: false,
  notes: ['A note.'],
};

const row = (contender: string, values: readonly number[]): Row => {
  return { load: 'some', contender, samples: values.map((cpuUs) => ({ cpuUs })) };
};

const results = (rows: readonly Row[]): Results => {
  const circumstances = { machine: 'a machine', othersShare: 0.12, rounds: 3, seconds: 2 };
  return { benchmark, rows, failures: [], ...circumstances };
};

t.test('ratios are taken round by round, and a bar is judged by their median', (t) => {
  const disturbed = results([row('ours', [30, 300, 50]), row('theirs', [20, 200, 20])]);
  t.same(
    judge(disturbed).map(({ value, met }) => ({ value, met })),
    [{ value: 1.5, met: true }],
    'the second round disturbed both',
  );
  const slow = results([row('ours', [50, 50, 50]), row('theirs', [20, 20, 20])]);
  t.match(judge(slow), [{ value: 2.5, met: false }]);
  t.match(report(slow), /- MISSED: at most twice as much \(ours; some\): 2\.50/);
  t.end();
});

t.test('a bar whose row is missing is not met', (t) => {
  const absent = { ...row('theirs', []), absent: 'not installed: theirs' };
  const alone = results([row('ours', [30]), absent]);
  t.match(judge(alone), [{ value: undefined, met: false }]);
  t.match(report(alone), /\| some \| theirs \| not installed: theirs \|/);
  t.match(report(alone), /- not measured: at most twice as much/);
  t.end();
});

t.test('a table gives the median and the range over rounds', (t) => {
  const text = report(results([row('ours', [30, 10, 1_234]), row('theirs', [10, 10, 10])]));
  t.match(text, '| some | ours | 30.0 (10.0–1 234.0) | 3.00 (1.00–123.40) |');
  t.match(text, 'median (least–most) of 3 runs of 2.0 s; a machine; other work took 12 %');
  t.end();
});

t.test('figures', (t) => {
  t.same(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
  t.same(spread([4, 1]), { median: 2.5, min: 1, max: 4 });
  t.equal(spread([]), undefined);
  t.equal(formatSpread([], 2), '');
  t.equal(formatSpread([7], 0), '7');
  t.equal(formatNumber(1_234_567.891, 2), '1 234 567.89');
  const latencies = Array.from({ length: 101 }, (_, i) => 100 - i);
  t.same(quantiles(latencies), { p50Ms: 50, p99Ms: 99 });
  t.end();
});

t.test('the documents have the tables that the code prints', (t) => {
  const squeeze = (text: string) => text.replace(/[ \t]+/g, ' ');
  for (const each of benchmarks) {
    const text = squeeze(readFileSync(documentOf(each), 'utf8'));
    t.ok(text.includes(squeeze(header(each))), `${each.name}: the header of its table`);
    t.ok(text.includes(each.question), `${each.name}: its question`);
    for (const note of each.notes) t.ok(text.includes(note), `${each.name}: ${note}`);
    for (const { text: bar } of each.bars) t.ok(text.includes(bar), `${each.name}: ${bar}`);
  }
  t.end();
});

t.test('a report replaces what stands between its markers, and nothing else', (t) => {
  const [begin, end] = ['<!-- sample: written by scripts/bench -->', '<!-- end of sample -->'];
  const document = `before\n${begin}\nold\n${end}\nafter\n`;
  const written = withReport(document, results([row('ours', [1]), row('theirs', [1])]));
  t.match(written, /^before\n/);
  t.match(written, /\nafter\n$/);
  t.notMatch(written, /old/);
  t.match(written, header(benchmark));
  t.throws(() => withReport('no markers', results([])), { code: 'run' });
  t.end();
});
