import { table } from './table.ts';

export type Way = 'multicast' | 'unicast';

/** A node's word on those of its view: how it hears them, and how they say that they hear it. */
export interface Hearing {
  readonly name: string;
  readonly others: readonly {
    readonly name: string;
    readonly heardBy: readonly Way[];
    readonly hearsUsBy: readonly Way[];
  }[];
}

/**
 * Who hears whom, by which way: a row hears its columns. A node that was not asked has what the
 * others know of it. Empty when there is nobody to hear.
 */
export function hearingTable(nodes: readonly Hearing[]): string {
  const names = new Set(nodes.map(({ name }) => name));
  const cells = new Map<string, readonly Way[]>();
  for (const { name, others } of nodes) {
    for (const other of others) {
      names.add(other.name);
      if (!cells.has(`${other.name} ${name}`)) cells.set(`${other.name} ${name}`, other.hearsUsBy);
    }
  }
  for (const { name, others } of nodes) {
    for (const other of others) cells.set(`${name} ${other.name}`, other.heardBy);
  }
  if (names.size < 2) return '';
  const rows = [...names].map((hearer) => [
    hearer,
    ...[...names].map((heard) => (hearer === heard ? '-' : told(cells.get(`${hearer} ${heard}`)))),
  ]);
  return table(['hears', ...names], rows);
}

/** Nothing is known of who is in nobody's view. */
function told(ways: readonly Way[] | undefined): string {
  if (!ways) return '';
  return ways.length === 2 ? 'both' : (ways[0] ?? 'not');
}
