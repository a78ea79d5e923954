import { execFile } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { benchmarks } from '../src/index.ts';
import { parseOptions } from '../src/options.ts';

const MAIN = join(import.meta.dirname, '..', 'src', 'main.ts');

t.test('small runs are few and short unless it is said how many and how long', (t) => {
  t.match(parseOptions(['add']), { names: ['add'], rounds: 3, seconds: 3, small: false });
  t.match(parseOptions(['add', '--small']), { rounds: 1, seconds: 0.5, small: true });
  t.match(parseOptions(['add', '--small', '--rounds', '2']), { rounds: 2, seconds: 0.5 });
  t.end();
});

t.test('contenders are separated by commas; loads, which have commas, are repeated', (t) => {
  const options = [
    'add',
    '--only',
    'argyle,redis',
    '--load',
    'TLS 1.3, full',
    '--load',
    '1 writer',
  ];
  t.match(parseOptions(options), {
    only: ['argyle', 'redis'],
    loads: ['TLS 1.3, full', '1 writer'],
  });
  t.end();
});

t.test('what cannot be meant is refused, and said', (t) => {
  const refusals: readonly [readonly string[], RegExp][] = [
    [['--rounds', '0'], /--rounds: found 0, wanted a number above 0/],
    [['--rounds', '1.5'], /--rounds: wanted a whole number/],
    [['--seconds', 'x'], /--seconds: found x/],
    [['--rond', '3'], /--rond/],
    [['all', '--write', '--small'], /--write: wanted whole tables/],
    [['all', '--write', '--only', 'argyle'], /--write: wanted whole tables/],
  ];
  for (const [args, message] of refusals)
    t.throws(() => parseOptions(args), { code: 'usage', message }, args.join(' '));
  t.end();
});

t.test('an unknown name is a wrong use, and the message has those that are known', async (t) => {
  const { code, stderr } = await bench('conect');
  t.equal(code, 2);
  t.match(stderr, /conect: found no such benchmark, wanted one of handshakes, add, /);
});

t.test('--help tells every option and every question', async (t) => {
  const { code, stdout } = await bench('--help');
  t.equal(code, 0);
  for (const { name, question } of benchmarks) {
    t.match(stdout, name);
    t.ok(stdout.includes(question), name);
  }
  const options = ['rounds', 'seconds', 'small', 'only', 'load', 'json', 'check', 'write'];
  for (const option of [...options, 'profile', 'port-base']) t.match(stdout, `--${option}`);
});

function bench(...args: readonly string[]) {
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
}
