import { SystemHost } from '@argyle/host/system';
import t from 'tap';
import { Claims } from '../src/claims.ts';
import { FakeCluster } from './fake-cluster.ts';

const SESSION = new Uint8Array(32).fill(7);
const UNTIL = Date.now() + 60_000;

function members(count: number, waitMs = 60_000) {
  const cluster = new FakeCluster();
  cluster.hold();
  const nodes = Array.from({ length: count }, () => {
    const cache = cluster.join();
    return { cache, claims: new Claims(new SystemHost(), cache, { waitMs }) };
  });
  return { cluster, nodes };
}

function orders<Item>(items: readonly Item[]): Item[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) =>
    orders(items.toSpliced(index, 1)).map((rest) => [item, ...rest]),
  );
}

t.test('in whatever order claims are made and arrive, at most one succeeds', async (t) => {
  const winners = new Map<number, number>();
  for (const order of orders(['claim 0', 'claim 1', 'deliver 0', 'deliver 1', 'turn', 'turn'])) {
    const { cluster, nodes } = members(2);
    const claims: Promise<boolean>[] = [];
    for (const step of order) {
      const [verb, which] = step.split(' ');
      const node = nodes[Number(which)];
      if (verb === 'claim' && node) claims.push(node.claims.claim(SESSION, UNTIL));
      else if (verb === 'deliver' && node) cluster.deliver(node.cache);
      else await new Promise((resolve) => setImmediate(resolve));
    }
    cluster.deliver();
    const won = (await Promise.all(claims)).filter(Boolean).length;
    winners.set(won, (winners.get(won) ?? 0) + 1);
  }
  t.equal(winners.get(2), undefined, 'never both');
  t.ok((winners.get(1) ?? 0) > 0, 'one, when the other comes later');
  t.ok((winners.get(0) ?? 0) > 0, 'none, when they meet');
});

t.test('a member that does not answer refuses the claim within its bound', async (t) => {
  const { nodes } = members(2, 20);
  t.equal(await nodes[0]!.claims.claim(SESSION, UNTIL), false);
});

t.test('two attempts at one node are one claim', async (t) => {
  const { cluster, nodes } = members(2);
  const both = [0, 1].map(() => nodes[0]!.claims.claim(SESSION, UNTIL));
  cluster.deliver();
  t.strictSame(await Promise.all(both), [true, false]);
  t.equal(await nodes[0]!.claims.claim(SESSION, UNTIL), false, 'nor later');
});

t.test('a node that is alone claims at once, and a full cache refuses', async (t) => {
  const { nodes } = members(1);
  t.equal(await nodes[0]!.claims.claim(SESSION, UNTIL), true);
  nodes[0]!.cache.full = true;
  t.equal(await nodes[0]!.claims.claim(new Uint8Array(32), UNTIL), false);
});
