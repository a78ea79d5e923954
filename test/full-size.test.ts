import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';

const ROOT = resolve(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
/** The table's rows: a file, or several by their parts of tests. */
const ROW = /^\| `((?:packages|test)\/\S+)`/gm;

const sources = globSync(['packages/*/test/**/*.ts', 'test/**/*.ts'], { cwd: ROOT })
  .filter((path) => !path.includes('node_modules'))
  .sort();
const tests = sources.filter((path) => path.endsWith('.test.ts'));
/** Spelled in two parts, so that this file is none of them. */
const larger = sources.filter((path) => read(path).includes(['ARGYLE_TEST', 'FULL'].join('_')));

t.test('test/README.md lists every file that has a full size', (t) => {
  const listed = [...read('test/README.md').matchAll(ROW)].map(([, path = '']) => path).sort();
  t.same(listed, larger);
  t.end();
});

t.test('scripts/test --full reaches each of them', (t) => {
  for (const path of larger.filter((each) => !tests.includes(each))) {
    const [name = ''] = path.split('/').slice(-1);
    t.ok(
      tests.some((test) => read(test).includes(`/${name}'`)),
      `a test is made of ${path}`,
    );
  }
  t.match(read('scripts/test.ts'), "globSync('packages/*/test/**/*.test.ts')");
  t.match(read('scripts/test.ts'), "globSync('test/**/*.test.ts')");
  t.end();
});
