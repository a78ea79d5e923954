import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import * as constants from '../src/constants.ts';
import { SUITES } from '../src/suite.ts';
import { spacedHex } from './fixture.ts';
import { vectors } from './vectors.ts';

const folder = join(import.meta.dirname, '..');
const specification = readFileSync(join(folder, 'PROTOCOL.md'), 'utf8');

/** The lines of the box in the comment above a codec. */
function boxOf(file: string): string[] {
  return readFileSync(join(folder, 'src', file), 'utf8')
    .split('\n')
    .filter((line) => /^ \* ( 0 |[+|])/.test(line))
    .map((line) => line.slice(3).trimEnd());
}

for (const file of ['record', 'content', 'take', 'association-record']) {
  t.test(`the box of ${file} is the one in PROTOCOL.md`, (t) => {
    const box = boxOf(`${file}.ts`);
    t.ok(box.length >= 4, `${box.length} lines`);
    t.ok(specification.includes(box.join('\n')), box.join('\n'));
    t.end();
  });
}

t.test('every label of the key schedule, and every suite, is in PROTOCOL.md', (t) => {
  const source = readFileSync(join(folder, 'src', 'key-schedule.ts'), 'utf8');
  const labels = [...source.matchAll(/^ {2}\w+: '([^']+)',$/gm)].map(([, label]) => label);
  t.equal(labels.length, 4);
  for (const label of labels) t.match(specification, `| \`${label}\``);
  t.match(specification, /salt `argyle udp 1`/);
  for (const [name, { number }] of Object.entries(SUITES)) {
    t.ok(new RegExp(`\\| ${number} +\\| \`${name}\``).test(specification), name);
  }
  t.end();
});

t.test('times and bounds are those of PROTOCOL.md', (t) => {
  const rows = [...specification.matchAll(/^\| `([A-Z_]+)` +\| ([\d ]+?) *\|/gm)];
  const told = Object.fromEntries(
    rows.map(([, name, value]) => [name, Number(value?.replaceAll(' ', ''))]),
  );
  t.same(told, { ...constants });
  t.end();
});

t.test('the test vectors of PROTOCOL.md are what the code makes', (t) => {
  const told = [...specification.matchAll(/^_(.+)_\n\n```\n([\da-f \n]+)\n```$/gm)];
  const expected = [...vectors()].map(([title, bytes]) => [title, spacedHex(bytes)]);
  t.equal(expected.length, 16);
  t.same(
    told.map(([, title, bytes]) => [title, bytes]),
    expected,
  );
  t.end();
});
