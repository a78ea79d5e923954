import t, { type Test } from 'tap';
import { ClientError } from '../src/errors.ts';
import { WarmPool, type Keepable } from '../src/warm-pool.ts';
import { ManualHost } from './manual-host.ts';

class FakeConnection implements Keepable {
  readonly node: number;
  readonly securedAt: number;
  closed = false;
  lose: (failure: ClientError) => void = () => undefined;

  constructor(node: number, securedAt: number) {
    this.node = node;
    this.securedAt = securedAt;
  }

  watch(lost: (failure: ClientError) => void): void {
    this.lose = lost;
  }

  close(): void {
    this.closed = true;
  }
}

const RESET = new ClientError('reset', 'connection reset');
const any = () => true;

/** A filled pool, the connections that it dialled and those that it lost. */
async function filled(t: Test, size = 2) {
  const host = new ManualHost();
  const dialled: FakeConnection[] = [];
  const lost: FakeConnection[] = [];
  const cluster = { node: 0 as number | undefined };
  const pool = new WarmPool<FakeConnection>(host, {
    size,
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
  t.equal(pool.size, size);
  return { host, pool, dialled, lost, cluster };
}

/** Dials end in promises, and so does their keeping. */
async function dials() {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
}

t.test('a connection that is used is replaced, the last one goes first', async (t) => {
  const { pool, dialled } = await filled(t);
  t.equal(pool.take(any), dialled[1]);
  await dials();
  t.equal(pool.size, 2);
  t.equal(dialled.length, 3);
  t.equal(pool.take(any), dialled[2]);
});

t.test('connections that come back are taken again, and dialling ends', async (t) => {
  const { host, pool, dialled } = await filled(t);
  for (let request = 0; request < 10; request += 1) {
    const connection = pool.take(any);
    await dials();
    if (connection) pool.keep(connection);
  }
  t.equal(dialled.length, 3, 'the first request made the one more that is in use');
  t.equal(pool.size, 3);
  host.advance(60_000);
  await dials();
  t.equal(pool.size, 2, 'and those that nobody needs end');
});

t.test('what comes back is closed when it is old, or when there are enough', async (t) => {
  const { host, pool, dialled } = await filled(t);
  for (let others = 0; others < 100; others += 1) pool.keep(new FakeConnection(0, host.now()));
  t.equal(pool.size, 64);
  const taken = pool.take(any);
  host.advance(10 * 60_000 + 1);
  await dials();
  if (taken) pool.keep(taken);
  t.ok(taken?.closed);
  t.ok(dialled[0]?.closed, 'so are the others, for their age');
});

t.test('a connection to a node that is not wanted is not given', async (t) => {
  const { pool } = await filled(t);
  t.equal(
    pool.take((node) => node !== 0),
    undefined,
  );
  t.equal(pool.size, 2);
});

t.test('a connection is replaced before it is too old', async (t) => {
  const { host, pool, dialled, lost } = await filled(t);
  host.advance(59_999);
  t.notOk(dialled[0]?.closed);
  host.advance(1);
  t.ok(dialled[0]?.closed && dialled[1]?.closed);
  await dials();
  t.equal(pool.size, 2);
  t.equal(lost.length, 0);
});

t.test('a client that nobody uses keeps one connection', async (t) => {
  const { host, pool } = await filled(t, 4);
  for (let round = 0; round < 3; round += 1) {
    host.advance(60_000);
    await dials();
  }
  t.equal(pool.size, 1);
  pool.take(any);
  await dials();
  t.equal(pool.size, 4, 'and all of them once it is used again');
});

t.test('a lost connection is reported and replaced', async (t) => {
  const { host, pool, dialled, lost } = await filled(t);
  dialled[0]?.lose(RESET);
  t.same(lost, [dialled[0]]);
  await dials();
  t.equal(pool.size, 2);
  t.equal(host.armed, 2, 'one timer for each that is kept');
});

t.test('when the node changes, the connections to the other one are closed', async (t) => {
  const { pool, dialled, cluster } = await filled(t);
  cluster.node = 1;
  pool.keepOnly(1);
  t.ok(dialled.every(({ closed }) => closed));
  pool.refill();
  await dials();
  t.equal(pool.take(any)?.node, 1);
});

t.test('while there is no node it waits to be told of one', async (t) => {
  const { pool, dialled, cluster } = await filled(t);
  cluster.node = undefined;
  pool.keepOnly(1);
  pool.refill();
  await dials();
  t.equal(pool.size, 0);
  t.equal(dialled.length, 2);
  cluster.node = 1;
  pool.refill();
  await dials();
  t.equal(pool.size, 2);
});

t.test(
  'a stopped pool closes all, also what is still being dialled, and arms nothing',
  async (t) => {
    const { host, pool, dialled } = await filled(t);
    pool.take(any);
    pool.stop();
    await dials();
    t.equal(pool.size, 0);
    t.same(
      dialled.map(({ closed }) => closed),
      [true, false, true],
      'the one that was taken belongs to who took it',
    );
    t.equal(host.armed, 0);
  },
);
