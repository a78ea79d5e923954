import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { checkTree } from '../scripts/check.ts';

const ROOT = join(import.meta.dirname, '..');

/** A package of one file, beside those that its imports name. */
function tree(path: string, text: string, manifest: object = {}): Map<string, string> {
  const [, folder = '', part = ''] = /^(packages\/[\w-]+)\/(\w+)\//.exec(path) ?? [];
  const entry = part === 'src' ? path.slice(folder.length + 1) : 'src/index.ts';
  const exports = { exports: { '.': `./${entry}` }, ...manifest };
  const texts = new Map([[path, text]]);
  if (folder !== '') {
    texts.set(`${folder}/package.json`, JSON.stringify(exports));
    texts.set(`${folder}/README.md`, '# It\n');
  }
  return texts;
}

function reasons(path: string, text: string, manifest?: object): string[] {
  return checkTree(tree(path, text, manifest)).map(({ line, rule }) => `${line} ${rule}`);
}

const lines = (count: number, text: string) => `${text}\n`.repeat(count);
const PLACE = `/${'work'}/`;
const LATER = `TO${'DO'}`;

t.test('the repository is tidy', async (t) => {
  // The test runner hooks its children by NODE_OPTIONS; the compiler does not load under its hooks.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, 'scripts/check.ts'];
  const check = spawnSync('env', command, { cwd: ROOT, encoding: 'utf8' });
  t.equal(check.stdout + check.stderr, '');
  t.equal(check.status, 0);
});

t.test('finds what one file must not hold', async (t) => {
  const src = 'packages/replica/src/index.ts';
  const cases: [string, string, string[]][] = [
    ['a clock', 'const now = Date.now();', ['1 clock']],
    ['a new date', '\nexport const at = new Date();', ['2 clock']],
    ['the monotonic clock', 'performance.now();', ['1 clock']],
    ['another clock', 'process.hrtime.bigint();', ['1 clock']],
    ['a timer', 'setTimeout(wake, 5);', ['1 timer']],
    ['a timer by another name', 'globalThis.x = setImmediate;', ['1 timer']],
    ['weak chance', 'Math.random();', ['1 random']],
    ['chance of its own', "import { randomBytes } from 'node:crypto';", ['1 random']],
    ['a promise in a machine', 'export async function get() {}', ['1 promise']],
    ['a promise type in a machine', 'let done: Promise<void>;', ['1 promise']],
    ['a socket', "import { connect } from 'node:net';", ['1 socket']],
    ['a datagram socket', "import * as dgram from 'node:dgram';", ['1 socket']],
    [
      'a timer module',
      "import { setTimeout as wait } from 'node:timers';",
      ['1 timer', '1 socket'],
    ],
    ['any', 'const a = b as any;', ['1 syntax']],
    ['any in a list', 'let a: Map<string, any>;', ['1 syntax']],
    ['any among others', 'let a: any[] = [];', ['1 syntax']],
    ['an enum', 'export const enum Kind { A }', ['1 syntax']],
    ['a namespace', 'namespace Kind {}', ['1 syntax']],
    ['an intention', `// ${LATER}: later`, ['1 word']],
    ['a silenced type', `// @ts-${'ignore'}`, ['1 word']],
    ['a place', `// see ${PLACE}notes`, ['1 word']],
    ['another place', `// see ../${'shared'}/notes`, ['1 word']],
    ['a registry', `fetch('https://registry.example.${'org'}/');`, ['1 word']],
    ['a long line', `// ${'x'.repeat(98)}`, ['1 length']],
    ['a long comment', `/** ${'x'.repeat(98)} */`, ['1 length']],
    ['a long file', lines(401, 'f();'), ['401 length']],
    ['a long function', `export function f() {\n${lines(69, '  g();')}}\n`, ['1 length']],
    ['a long method', `class A {\n  #f(a: B): C {\n${lines(69, 'g();')}}\n}\n`, ['2 length']],
    ['a long callback', `a.map((b) => {\n${lines(69, 'g();')}});\n`, ['1 length']],
  ];
  for (const [name, text, expected] of cases) t.same(reasons(src, text), expected, name);
});

t.test('lets pass what only looks like it', async (t) => {
  const src = 'packages/multicast/src/index.ts';
  const cases: [string, string][] = [
    ['words in comments', '// any enum: Date.now() and setTimeout() of async promises\nf();'],
    ['words in strings', "f('Date.now()', `Math.random() ${a} setTimeout(b)`);"],
    ['words in patterns', 'f(/Date.now()[/"]/, /setTimeout\\/(x)/);'],
    [
      'methods of those names',
      'socket.setTimeout(5); z.enum([a]); Promises.any(a); this.Date.x();',
    ],
    ['code after a nested template', 'f(`${`a ${b}`} c`); g({ a: `}` });'],
    ['names that begin so', 'DateTime.now(); performanceOf(a); anyone as anything;'],
    ['any as a value', 'const any = () => true; f(any);'],
    ['pure names of a socket module', "import { isIP, type Socket } from 'node:net';"],
    ['types of a socket module', "import type { Socket } from 'node:net';"],
    ['one long string', `f(\n  '${'x'.repeat(120)}',\n);`],
    ['one long pattern', `const a =\n  /${'x'.repeat(120)}/g;`],
    ['a long class', `class A {\n${lines(80, '  a = 1;')}}\n`],
    ['a function of seventy lines', `function f() {\n${lines(68, '  g();')}}\n`],
  ];
  for (const [name, text] of cases) t.same(reasons(src, text), [], name);
});

t.test('knows the places where sockets, clocks and promises belong', async (t) => {
  const timers = 'setTimeout(f, Date.now()); await g;';
  t.same(reasons('packages/host/src/index.ts', timers), []);
  t.same(reasons('packages/cli/src/index.ts', timers), []);
  t.same(reasons('packages/replica/test/a.test.ts', timers), []);
  t.same(reasons('scripts/a.ts', timers), []);
  t.same(reasons('packages/node/src/index.ts', 'await f;'), []);
  t.same(reasons('packages/replica/src/local-replica.ts', 'await f;'), []);
  t.same(reasons('packages/multicast/src/discovery.ts', "import a from 'node:dgram';"), []);
  t.same(reasons('packages/node/src/index.ts', "import a from 'node:tls';"), []);
  t.same(reasons('packages/node/src/index.ts', "import a from 'node:dgram';"), ['1 socket']);
  t.same(reasons('packages/admin/src/index.ts', "import a from 'node:tls';"), ['1 socket']);
});

t.test('holds packages to their arrows', async (t) => {
  const all = ['host', 'cache', 'multicast', 'secure-udp', 'simulator', 'replica', 'node'];
  const running = (names: string[]) => ({
    dependencies: Object.fromEntries(names.map((name) => [`@argyle/${name}`, 'workspace:*'])),
  });
  const uses = (from: string, to: string, part = 'src') =>
    reasons(`packages/${from}/${part}/index.ts`, `import '@argyle/${to}';`, running([to]));
  const allowed: Record<string, string[]> = {
    host: [],
    cache: ['host'],
    multicast: ['host'],
    'secure-udp': ['host'],
    simulator: ['host'],
    replica: ['host', 'cache', 'multicast'],
    node: ['host', 'cache', 'multicast', 'secure-udp', 'replica'],
    client: ['host', 'secure-udp'],
    admin: [],
    cli: all.filter((name) => name !== 'simulator'),
    bench: all,
  };
  for (const [from, names] of Object.entries(allowed)) {
    for (const to of all) {
      if (to !== from)
        t.same(uses(from, to), names.includes(to) ? [] : ['1 arrow'], `${from}: ${to}`);
    }
  }
  t.same(uses('cache', 'simulator', 'test'), []);
  t.same(reasons('packages/host/src/index.ts', "import '../../cache/src/a.ts';"), ['1 arrow']);
  t.same(reasons('packages/host/src/index.ts', "export * from '../test/a.ts';"), ['1 arrow']);
  t.same(reasons('packages/host/test/a.ts', "import '../../cache/test/a.ts';"), ['1 arrow']);
  t.same(reasons('packages/host/test/a.ts', "import '../src/index.ts';"), []);
  t.same(reasons('packages/other/src/index.ts', ''), ['1 arrow'], 'a package without arrows');
});

t.test('holds dependencies to imports, and files to being reached', async (t) => {
  const path = 'packages/node/src/index.ts';
  const yaml = { dependencies: { yaml: '1.0.0' } };
  const developing = { devDependencies: { yaml: '1.0.0' } };
  t.same(reasons(path, "import { parse } from 'yaml';", yaml), []);
  t.same(reasons(path, "import type { Node } from 'yaml/util';"), ['1 dependency']);
  t.same(reasons(path, '', yaml), ['1 dependency'], 'a dependency that nothing imports');
  t.same(reasons(path, "import 'yaml';", developing), ['1 dependency']);
  t.same(reasons('packages/node/test/a.test.ts', "import 'yaml';", developing), []);
  const texts = tree(path, "export { a } from './a.ts';");
  texts.set('packages/node/src/a.ts', "export const a = await import('./b.ts');");
  texts.set('packages/node/src/b.ts', '');
  t.same(checkTree(texts), []);
  texts.set('packages/node/src/c.ts', '');
  t.match(checkTree(texts), [{ path: 'packages/node/src/c.ts', rule: 'unused' }]);
  texts.set('scripts/up', 'node packages/node/src/c.ts');
  t.same(checkTree(texts), []);
  texts.delete('packages/node/README.md');
  t.match(checkTree(texts), [{ path: 'packages/node/package.json', rule: 'readme' }]);
});

t.test('holds every exception to being needed', async (t) => {
  t.same(reasons('scripts/test.ts', `// ${LATER}`), []);
  t.same(reasons('scripts/test.ts', 'f();'), ['1 word']);
});
