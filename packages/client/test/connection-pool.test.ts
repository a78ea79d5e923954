import t, { type Test } from 'tap';
import { ManualHost } from '@argyle/host/manual-host';
import { ConnectionPool, type Poolable } from '../src/connection-pool.ts';
import { ClientError } from '../src/errors.ts';

class FakeConnection implements Poolable {
  readonly facts: Poolable['facts'];
  load = 0;
  retired = false;
  lose: (failure: ClientError) => void = () => undefined;
  #idle: () => void = () => undefined;

  constructor(node: number, securedAt: number) {
    this.facts = { node, securedAt };
  }

  watch(handlers: { lost(failure: ClientError): void; idle(): void }): void {
    this.lose = (failure) => handlers.lost(failure);
    this.#idle = () => handlers.idle();
  }

  retire(): void {
    this.retired = true;
  }

  endOne(): void {
    this.load -= 1;
    if (this.load === 0) this.#idle();
  }
}

const RESET = new ClientError('reset', 'connection reset');
const any = () => true;

/** A filled pool, the connections that it dialled and those that it lost. */
async function filled(t: Test, warm = 2) {
  const host = new ManualHost();
  const dialled: FakeConnection[] = [];
  const lost: FakeConnection[] = [];
  const cluster = { node: 0 as number | undefined };
  const pool = new ConnectionPool<FakeConnection>(host, {
    warm,
    random: () => 0,
    dial: async () => {
      if (cluster.node === undefined) return undefined;
      const connection = new FakeConnection(cluster.node, host.now());
      dialled.push(connection);
      return connection;
    },
    lost: (connection) => void lost.push(connection),
  });
  pool.refill();
  await dials();
  t.equal(pool.idle, warm);
  /** As for a request. */
  const use = async () => {
    const connection = pool.take(any);
    if (connection) connection.load += 1;
    pool.refill();
    await dials();
    return connection;
  };
  return { host, pool, dialled, lost, cluster, use };
}

/** Dials end in promises. */
async function dials() {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
}

t.test('a connection in use is replaced, and taken again when it is free', async (t) => {
  const { pool, dialled, use } = await filled(t);
  for (let request = 0; request < 10; request += 1) (await use())?.endOne();
  t.equal(dialled.length, 3, 'the first request made the one more that is in use');
  t.equal(pool.idle, 3);
});

t.test('more requests at once share what there is, the least loaded first', async (t) => {
  const { pool, dialled, use } = await filled(t);
  for (let request = 0; request < 40; request += 1) await use();
  t.equal(pool.size, 16);
  t.equal(dialled.length, 16);
  t.equal(pool.idle, 0);
  t.same(new Set(dialled.map(({ load }) => load)), new Set([2, 3]));
});

t.test('a connection to a node that is not wanted is not given', async (t) => {
  const { pool } = await filled(t);
  t.equal(
    pool.take((node) => node !== 0),
    undefined,
  );
  t.equal(pool.size, 2);
});

t.test('one that nobody used is replaced before it is too old', async (t) => {
  const { host, pool, dialled, lost, use } = await filled(t);
  const used = await use();
  host.advance(59_999);
  t.notOk(dialled[0]?.retired);
  host.advance(1);
  t.ok(dialled[0]?.retired);
  t.notOk(used?.retired, 'what carries something is not unused');
  await dials();
  t.equal(lost.length, 0);
  used?.endOne();
  host.advance(60_000);
  t.ok(used?.retired);
  await dials();
  t.ok(pool.idle >= 1);
});

t.test('one that is old takes no more requests', async (t) => {
  const { host, pool, dialled, use } = await filled(t);
  const first = await use();
  host.advance(10 * 60_000 + 1);
  await dials();
  const next = await use();
  t.ok(first?.retired);
  t.not(next, first);
  first?.endOne();
  t.ok(pool.size > 0);
  t.ok(dialled.length > 3);
});

t.test('a client that nobody uses keeps one connection', async (t) => {
  const { host, pool, use } = await filled(t, 4);
  for (let round = 0; round < 3; round += 1) {
    host.advance(60_000);
    await dials();
  }
  t.equal(pool.size, 1);
  (await use())?.endOne();
  t.ok(pool.idle >= 4, 'and all of them once it is used again');
});

t.test('a lost connection is reported and replaced', async (t) => {
  const { host, pool, dialled, lost } = await filled(t);
  dialled[0]?.lose(RESET);
  t.same(lost, [dialled[0]]);
  await dials();
  t.equal(pool.size, 2);
  t.equal(host.armed, 2, 'one timer for each that is kept');
});

t.test('when the node changes, the connections to the other one are given up', async (t) => {
  const { pool, dialled, cluster } = await filled(t);
  cluster.node = 1;
  pool.keepOnly((node) => node === 1);
  t.ok(dialled.every(({ retired }) => retired));
  pool.refill();
  await dials();
  t.equal(pool.take(any)?.facts.node, 1);
});

t.test('while there is no node it waits to be told of one', async (t) => {
  const { pool, dialled, cluster } = await filled(t);
  cluster.node = undefined;
  pool.keepOnly((node) => node === 1);
  pool.refill();
  await dials();
  t.equal(pool.size, 0);
  t.equal(dialled.length, 2);
  cluster.node = 1;
  pool.refill();
  await dials();
  t.equal(pool.size, 2);
});

t.test('a stopped pool gives up all, also what is still being dialled', async (t) => {
  const { host, pool, dialled, use } = await filled(t);
  await use();
  const connection = pool.take(any);
  if (connection) connection.load += 1;
  pool.refill();
  pool.stop();
  await dials();
  t.equal(pool.size, 0);
  t.ok(dialled.every(({ retired }) => retired));
  t.equal(host.armed, 0);
});
