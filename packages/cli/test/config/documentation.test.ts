import { readFileSync } from 'node:fs';
import t from 'tap';
import { parse } from 'yaml';
import type * as z from 'zod';
import { clientSchema } from '../../src/config/client-schema.ts';
import { nodeSchema } from '../../src/config/node-schema.ts';
import { effective, keyPaths } from '../../src/config/schema-walk.ts';

const PAGE = readFileSync(new URL('../../CONFIGURATION.md', import.meta.url), 'utf8');
const [NODE = '', CLIENT = ''] = [...PAGE.matchAll(/```yaml\n([^]*?)```/g)].map(
  ([, block]) => block,
);

const KINDS: readonly [string, string, z.ZodType, readonly string[]][] = [
  [
    'node',
    NODE,
    nodeSchema,
    ['listen', 'tls', 'tls.certificate', 'tls.key', 'tls.ca', 'group', 'group.clusterKey'],
  ],
  ['client', CLIENT, clientSchema, ['nodes', 'ca']],
];

function without(tree: unknown, path: string): unknown {
  const [key = '', ...rest] = path.split('.');
  const { [key]: below, ...others } = tree as Record<string, unknown>;
  return rest.length === 0 ? others : { ...others, [key]: without(below, rest.join('.')) };
}

for (const [kind, block, schema, required] of KINDS) {
  t.test(`the page tells every default of a ${kind}`, async (t) => {
    const leaves = required.filter((path) => !required.some((one) => one.startsWith(`${path}.`)));
    const maps = required.filter((path) => !leaves.includes(path));
    const least = Object.fromEntries(maps.map((path) => [path, {}]));
    const told = leaves.reduce<unknown>(without, parse(block));
    t.same(told, effective(schema, least));
  });

  t.test(`the page tells every key of a ${kind}, and no other`, async (t) => {
    const uncommented = block.replace(/#(?=[a-z]+:)/gm, '').replace(/^( +)#/gm, '$1');
    t.equal(schema.safeParse(parse(block)).success, true);
    for (const path of keyPaths(schema))
      t.match(uncommented, new RegExp(`\\b${path.split('.').at(-1)}:`), path);
  });

  t.test(
    `what a ${kind} must be told is exactly what the page gives without a default`,
    async (t) => {
      const issues = schema.safeParse({}).error?.issues ?? [];
      const top = required.filter((path) => !path.includes('.'));
      t.same(issues.map(({ path }) => path.join('.')).toSorted(), [...top].toSorted());
    },
  );
}
