import t from 'tap';
import { DatagramNodes } from '../src/datagram-nodes.ts';
import type { KnownNode } from '../src/nodes.ts';

function known(node: number, changes: Partial<KnownNode> = {}): KnownNode {
  return {
    node,
    label: `node ${node}`,
    state: 'reached',
    delayMs: undefined,
    failures: 0,
    lastFailure: undefined,
    nextTrialMs: 0,
    connections: 0,
    endpoint: { address: '::1', port: 1_000 + node },
    ...changes,
  };
}

function order(nodes: DatagramNodes): number[] {
  return nodes.list.map(({ endpoint }) => endpoint.port - 1_000);
}

t.test('the preferred one comes first, then by delay, then those that nobody asked', async (t) => {
  const nodes = new DatagramNodes();
  const all = [
    known(1, { state: 'unknown' }),
    known(2, { delayMs: 3 }),
    known(3, { delayMs: 9 }),
    known(4, { delayMs: 2 }),
    known(5, { state: 'failed', failures: 1 }),
    known(6, { state: 'leaving' }),
  ];
  t.equal(nodes.update(all, 3), true);
  t.strictSame(order(nodes), [3, 4, 2, 1, 5]);
  t.equal(nodes.list[0]?.name, '[::1]:1003');
});

t.test('noise in the delays changes no order', async (t) => {
  const nodes = new DatagramNodes();
  nodes.update([known(1, { delayMs: 1 }), known(2, { delayMs: 2 }), known(3)], 3);
  t.equal(nodes.update([known(1, { delayMs: 3 }), known(2, { delayMs: 2 }), known(3)], 3), false);
  t.strictSame(order(nodes), [3, 1, 2]);
  t.equal(nodes.update([known(1, { delayMs: 3 }), known(2, { delayMs: 2 }), known(3)], 1), true);
  t.strictSame(order(nodes), [1, 2, 3]);
});

t.test('a suspect keeps its place: associations judge it by themselves', async (t) => {
  const nodes = new DatagramNodes();
  nodes.update([known(1, { delayMs: 1 }), known(2, { delayMs: 2 })], 1);
  t.equal(
    nodes.update([known(1, { state: 'suspect', delayMs: 1 }), known(2, { delayMs: 2 })], 1),
    false,
  );
});

t.test('one that fails time after time is none, unless there is no other', async (t) => {
  const nodes = new DatagramNodes();
  nodes.update([known(1, { state: 'failed', failures: 2 }), known(2)], 2);
  t.strictSame(order(nodes), [2]);
  const failed = { state: 'failed', failures: 2 } as const;
  nodes.update([known(1, failed), known(2, failed), known(3, { state: 'leaving' })], 2);
  t.strictSame(order(nodes), [1, 2]);
});
