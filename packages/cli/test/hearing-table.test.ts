import t from 'tap';
import { type Hearing, hearingTable, type Way } from '../src/hearing-table.ts';

const BOTH: readonly Way[] = ['multicast', 'unicast'];

function node(name: string, others: Record<string, [readonly Way[], readonly Way[]]>): Hearing {
  return {
    name,
    others: Object.entries(others).map(([other, [heardBy, hearsUsBy]]) => ({
      ...{ name: other, heardBy, hearsUsBy },
    })),
  };
}

t.test('a row tells by which ways a node hears each other', (t) => {
  const text = hearingTable([
    node('node-1', { 'node-2': [BOTH, ['unicast']], 'node-3': [['multicast'], BOTH] }),
    node('node-2', { 'node-1': [['unicast'], BOTH], 'node-3': [BOTH, BOTH] }),
    node('node-3', { 'node-1': [BOTH, ['multicast']], 'node-2': [[], BOTH] }),
  ]);
  t.equal(
    text,
    [
      'hears   node-1   node-2  node-3',
      'node-1  -        both    multicast',
      'node-2  unicast  -       both',
      'node-3  both     not     -',
    ].join('\n'),
  );
  t.end();
});

t.test('of a node that was not asked it tells what the others know', (t) => {
  const text = hearingTable([
    node('node-1', { 'node-2': [BOTH, BOTH], 'node-3': [['unicast'], ['multicast']] }),
    node('node-2', { 'node-1': [BOTH, BOTH] }),
  ]);
  t.equal(
    text,
    [
      'hears   node-1     node-2  node-3',
      'node-1  -          both    unicast',
      'node-2  both       -',
      'node-3  multicast          -',
    ].join('\n'),
  );
  t.end();
});

t.test('a node that is alone hears nobody', (t) => {
  t.equal(hearingTable([node('node-1', {})]), '');
  t.equal(hearingTable([]), '');
  t.end();
});
