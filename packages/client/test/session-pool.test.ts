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

t.test('a refused session is offered no more, nor are those as old as it', async (t) => {
  const pool = new SessionPool();
  pool.add(session(1), 0);
  pool.add(session(2), 0);
  pool.add(session(3), 1);
  const refused = pool.take();
  pool.add(session(4), 2);
  if (refused) pool.refuse(refused);
  t.equal(pool.size, 1);
  t.equal(pool.take()?.session[1], 4);
});

t.test('a refusal of a session that gave way already changes nothing', async (t) => {
  const pool = new SessionPool();
  pool.add(session(1), 0);
  const lease = pool.take();
  for (let name = 2; name < 40; name += 1) pool.add(session(name), name);
  const before = pool.size;
  if (lease) pool.refuse(lease);
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
