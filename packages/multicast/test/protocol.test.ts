import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const folder = join(import.meta.dirname, '..');
const specification = readFileSync(join(folder, 'PROTOCOL.md'), 'utf8');

/** The lines of the box in the comment above a codec. */
function boxOf(file: string): string[] {
  const comment = readFileSync(join(folder, 'src', file), 'utf8');
  return comment
    .split('\n')
    .filter((line) => /^ \* ([+|] ?|\+[-+]+$)/.test(line))
    .map((line) => line.slice(3).trimEnd());
}

for (const file of ['segment', 'heartbeat', 'data', 'acknowledgement', 'request', 'links']) {
  t.test(`the box of ${file} is the one in PROTOCOL.md`, (t) => {
    const box = boxOf(`${file}.ts`);
    t.ok(box.length >= 4, `${box.length} lines`);
    t.ok(specification.includes(box.join('\n')), box.join('\n'));
    t.end();
  });
}

t.test('every label of the key schedule is in PROTOCOL.md', (t) => {
  const source = readFileSync(join(folder, 'src', 'cluster-keys.ts'), 'utf8');
  const labels = [...source.matchAll(/^ {2}\w+: '([^']+)',$/gm)].map(([, label]) => label);
  t.equal(labels.length, 5);
  for (const label of labels) t.match(specification, `\`${label}\``);
  t.match(specification, /salt\s+`argyle group 1`/);
  t.end();
});
