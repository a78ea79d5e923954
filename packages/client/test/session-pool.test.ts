import t from 'tap';
import { SessionPool } from '../src/session-pool.ts';

const session = (name: number) => Buffer.from([name >> 8, name & 0xff]);

t.test('an empty pool has nothing to offer', async (t) => {
  const pool = new SessionPool();
  t.equal(pool.take(), undefined);
  t.match(pool.status(5), { held: 0, unused: 0, newestAgeMs: undefined, oldestAgeMs: undefined });
});

t.test('the newest unused session goes first, a used one before none at all', async (t) => {
  const pool = new SessionPool();
  for (const name of [1, 2, 3]) pool.add(session(name), name);
  const taken = [1, 2, 3, 4, 5].map(() => pool.take()?.session[1]);
  t.same(taken, [3, 2, 1, 3, 3]);
  pool.add(session(4), 4);
  t.equal(pool.take()?.session[1], 4, 'a new one is preferred to the used ones');
});

/** Two as old as the one that is refused, and a newer one. */
function refusing() {
  const pool = new SessionPool();
  for (const name of [1, 2, 3]) pool.add(session(name), 0);
  const refuse = (node: number, alone = false) => {
    const lease = pool.take();
    pool.add(session(4), 2);
    if (lease) pool.refuse(lease, { node, alone });
  };
  return { pool, refuse };
}

t.test('a session that a node refuses is offered no more: it may not know it yet', async (t) => {
  const { pool, refuse } = refusing();
  refuse(7);
  t.equal(pool.size, 3);
  t.strictSame([pool.take()?.session[1], pool.take()?.session[1]], [4, 2]);
});

t.test('those as old are worth no more if there is no other node to ask', async (t) => {
  const { pool, refuse } = refusing();
  refuse(7, true);
  t.equal(pool.size, 1);
  t.equal(pool.take()?.session[1], 4);
});

t.test('nor if a second node refuses, or the same one time after time', async (t) => {
  for (const nodes of [
    [7, 8],
    [7, 7, 7],
  ]) {
    const pool = new SessionPool();
    for (let name = 0; name < 9; name += 1) pool.add(session(name), 0);
    for (const node of nodes) {
      const lease = pool.take();
      t.not(pool.size, 0);
      if (lease) pool.refuse(lease, { node, alone: false });
    }
    t.equal(pool.size, 0, nodes.join());
  }
});

t.test('one that is resumed says that the others are good', async (t) => {
  const { pool, refuse } = refusing();
  refuse(7);
  pool.accept();
  refuse(8);
  t.equal(pool.size, 3);
});

t.test('a refusal of a session that gave way already changes nothing', async (t) => {
  const pool = new SessionPool();
  pool.add(session(1), 0);
  const lease = pool.take();
  for (let name = 2; name < 40; name += 1) pool.add(session(name), name);
  const before = pool.size;
  if (lease) pool.refuse(lease, { node: 7, alone: true });
  t.equal(pool.size, before);
});

t.test('the pool is bounded and the oldest gives way', async (t) => {
  const pool = new SessionPool();
  for (let name = 0; name < 1000; name += 1) pool.add(session(name), name);
  t.equal(pool.size, 32);
  t.match(pool.status(1000), { held: 32, unused: 32, newestAgeMs: 1, oldestAgeMs: 32 });
});

t.test('a session that was not sent counts as unused again', async (t) => {
  const pool = new SessionPool();
  pool.add(session(1), 0);
  const lease = pool.take();
  t.equal(pool.status(0).unused, 0);
  if (lease) pool.restore(lease);
  t.equal(pool.status(0).unused, 1);
});
