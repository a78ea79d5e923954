import { existsSync } from 'node:fs';
import t from 'tap';
import { BenchError, runBenchmark, type Benchmark, type Contender } from '../src/index.ts';

const OPTIONS = {
  rounds: 2,
  seconds: 1,
  small: true,
  only: [],
  loads: [],
  portBase: 17_300,
  profile: undefined,
  progress: () => undefined,
};

/** A benchmark in which every contender does what it is told, and a diary of what they did. */
function scene(contenders: readonly Contender[], fresh = false): Benchmark {
  return {
    name: 'scene',
    question: 'Who comes when?',
    loads: ['light', 'heavy'],
    contenders,
    columns: [{ figure: 'cpuUs', title: 'CPU µs', digits: 0 }],
    baseline: { contender: 'a', figures: [{ figure: 'cpuUs', title: 'CPU' }] },
    bars: [],
    fresh,
    notes: [],
  };
}

function contender(name: string, diary: string[], failsAt: readonly number[] = []): Contender {
  let runs = 0;
  return {
    family: `family ${name}`,
    name,
    needs: [],
    open: () => {
      diary.push(`${name} opens`);
      return Promise.resolve({
        measure(load: string) {
          runs += 1;
          diary.push(`${name} ${load}`);
          if (failsAt.includes(runs)) return Promise.reject(new BenchError('run', `run ${runs}`));
          return Promise.resolve({ cpuUs: runs });
        },
        [Symbol.asyncDispose]() {
          diary.push(`${name} closes`);
          return Promise.resolve();
        },
      });
    },
  };
}

t.test('contenders take turns under each load, in every round', async (t) => {
  const diary: string[] = [];
  const { rows } = await runBenchmark(
    scene([contender('a', diary), contender('b', diary)]),
    OPTIONS,
  );
  const round = ['a light', 'b light', 'a heavy', 'b heavy'];
  t.same(
    diary.filter((line) => !line.endsWith('opens') && !line.endsWith('closes')),
    [...round, ...round],
  );
  t.same(diary.filter((line) => line.endsWith('opens')).length, 2, 'each is started once');
  t.same(diary.slice(-2).sort(), ['a closes', 'b closes']);
  t.match(rows[0], { load: 'light', contender: 'a', samples: [{ cpuUs: 1 }, { cpuUs: 3 }] });
});

t.test('a round before the others is thrown away where figures count', async (t) => {
  const diary: string[] = [];
  const options = { ...OPTIONS, small: false, loads: ['light'] };
  const { rows } = await runBenchmark(scene([contender('a', diary)]), options);
  t.same(rows[0]?.samples, [{ cpuUs: 2 }, { cpuUs: 3 }]);
});

t.test('fresh contenders are started and ended around each run', async (t) => {
  const diary: string[] = [];
  const options = { ...OPTIONS, loads: ['heavy'] };
  await runBenchmark(scene([contender('a', diary)], true), options);
  t.same(diary, ['a opens', 'a heavy', 'a closes', 'a opens', 'a heavy', 'a closes']);
});

t.test(
  'one that fails in a round has no figures there, and keeps its place in others',
  async (t) => {
    const diary: string[] = [];
    const options = { ...OPTIONS, loads: ['light'] };
    const { rows, failures } = await runBenchmark(scene([contender('a', diary, [1])]), options);
    t.same(rows[0]?.samples, [undefined, { cpuUs: 2 }]);
    t.equal(rows[0]?.absent, undefined);
    t.same(
      failures.map(({ message }) => message),
      ['run 1'],
    );
  },
);

t.test('one that fails three times is left out, and its row says so', async (t) => {
  const diary: string[] = [];
  const benchmark = scene([contender('a', diary, [1, 2, 3]), contender('b', diary)]);
  const { rows, failures } = await runBenchmark(benchmark, OPTIONS);
  t.equal(failures.length, 3);
  t.match(rows[0], { contender: 'a', absent: 'failed' });
  t.equal(diary.filter((line) => line.startsWith('a ')).length, 5, 'opened, three runs, closed');
  t.match(rows[1], { contender: 'b', samples: [{ cpuUs: 1 }, { cpuUs: 3 }] });
});

t.test('one that is not installed is not started, and its row names the package', async (t) => {
  const diary: string[] = [];
  const needs = [{ program: 'no-such-program-here', debianPackage: 'no-such-package' }];
  const absent = { ...contender('a', diary), needs };
  const { rows, failures } = await runBenchmark(scene([absent]), OPTIONS);
  t.same(diary, []);
  t.same(failures, []);
  for (const row of rows)
    t.match(row, { samples: [], absent: 'not installed: no-such-package' }, row.load);
});

t.test('families and loads can be chosen', async (t) => {
  const diary: string[] = [];
  const both = scene([contender('a', diary), contender('b', diary)]);
  const options = { ...OPTIONS, only: ['family b'], loads: ['eav'], rounds: 1 };
  const { rows } = await runBenchmark(both, options);
  t.same(
    rows.map(({ load, contender }) => [load, contender]),
    [['heavy', 'b']],
  );
});

t.test('the folder of a run is gone afterwards, also when a contender is broken', async (t) => {
  let folder = '';
  const broken: Contender = {
    ...contender('a', []),
    open(site) {
      folder = site.subfolder('a');
      return Promise.reject(new TypeError('a mistake of ours'));
    },
  };
  await t.rejects(runBenchmark(scene([broken]), OPTIONS), { message: 'a mistake of ours' });
  t.not(folder, '');
  t.notOk(existsSync(folder));
});
