import t from 'tap';
import { ManualHost } from '@argyle/host/manual-host';
import { SessionGate, type Passage } from '../src/session-gate.ts';
import { SessionPool } from '../src/session-pool.ts';

const SESSION = Buffer.from('session');
const never = new AbortController().signal;

function gate() {
  const host = new ManualHost();
  const sessions = new SessionPool();
  const entered: Passage[] = [];
  const own = new SessionGate(host, sessions);
  return {
    host,
    entered,
    gate: own,
    bring: () => {
      sessions.add(SESSION, host.now());
      own.sessionAdded();
    },
    /** So many handshakes want to begin; those that may are in `entered`. */
    arrive: async (count: number) => {
      for (let n = 0; n < count; n += 1) void own.enter(never).then((got) => entered.push(got));
      await turns();
    },
  };
}

async function turns() {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

t.test('with a session that is known to be good everyone goes ahead', async (t) => {
  const { host, bring, arrive, entered } = gate();
  bring();
  await arrive(20);
  t.equal(entered.length, 1, 'one tries it first');
  t.equal(entered[0]?.lease?.session, SESSION);
  entered[0]?.leave('connected');
  await turns();
  t.equal(entered.length, 20);
  t.ok(entered.every(({ lease }) => lease?.session === SESSION));
  host.advance(4_999);
  await arrive(20);
  t.equal(entered.length, 40);
});

t.test('after a rest one tries whether sessions are still good', async (t) => {
  const { host, bring, arrive, entered } = gate();
  await arrive(1);
  bring();
  entered[0]?.leave('connected');
  host.advance(5_000);
  await arrive(20);
  t.equal(entered.length, 2);
  entered[1]?.leave('connected');
  await turns();
  t.equal(entered.length, 21);
});

t.test('one that is silent holds the others up no longer than its time', async (t) => {
  const { host, bring, arrive, entered } = gate();
  await arrive(3);
  host.advance(200);
  entered[0]?.accepted();
  host.advance(1_999);
  await turns();
  t.equal(entered.length, 1);
  host.advance(1);
  await turns();
  t.equal(entered.length, 2, 'the next goes ahead');
  bring();
  entered[0]?.leave('failed');
  await turns();
  t.equal(entered.length, 2, 'and is not disturbed by the first');
  entered[1]?.leave('connected');
  await turns();
  t.equal(entered.length, 3);
  t.equal(host.armed, 0);
});

t.test('one whose node does not even take the connection holds them up far less', async (t) => {
  const { host, arrive, entered } = gate();
  await arrive(3);
  host.advance(249);
  await turns();
  t.equal(entered.length, 1);
  host.advance(1);
  await turns();
  t.equal(entered.length, 2);
  entered[0]?.accepted();
  host.advance(250);
  await turns();
  t.equal(entered.length, 3, 'too late: another is ahead by then');
});

t.test(
  'a doubtful one with a session goes beside the others, and nobody waits for it',
  async (t) => {
    const { host, gate: own, bring, arrive, entered } = gate();
    bring();
    const doubtful = await own.enter(never, { doubtful: true });
    t.equal(doubtful.lease?.session, SESSION);
    await arrive(2);
    t.equal(entered.length, 1, 'one of the others goes first, as if it were not there');
    const another = await own.enter(never, { doubtful: true });
    another.accepted();
    another.leave('failed');
    doubtful.leave('failed');
    await turns();
    t.equal(entered.length, 1);
    entered[0]?.leave('connected');
    await turns();
    t.equal(entered.length, 2);
    t.equal(host.armed, 0);
  },
);

t.test('a doubtful one without a session holds the others up for a moment only', async (t) => {
  const { host, gate: own, bring, arrive, entered } = gate();
  const doubtful = await own.enter(never, { doubtful: true });
  t.equal(doubtful.lease, undefined);
  await arrive(2);
  t.equal(entered.length, 0);
  doubtful.accepted();
  host.advance(250);
  await turns();
  t.equal(entered.length, 1, 'though its node took the connection: it may stand still');
  doubtful.leave('failed');
  await turns();
  t.equal(entered.length, 1);
  bring();
  entered[0]?.leave('connected');
  await turns();
  t.equal(entered.length, 2);
  t.equal(host.armed, 0);
});

t.test('one whose node is found silent meanwhile gives way at once, and once', async (t) => {
  const { host, arrive, entered } = gate();
  await arrive(3);
  entered[0]?.accepted();
  entered[0]?.giveWay();
  await turns();
  t.equal(entered.length, 2);
  entered[0]?.giveWay();
  await turns();
  t.equal(entered.length, 2, 'another is ahead by then');
  entered[1]?.leave('failed');
  await turns();
  t.equal(entered.length, 3);
  entered[2]?.leave('failed');
  t.equal(host.armed, 0);
});

t.test('without one, a single handshake goes ahead and the rest use what it brings', async (t) => {
  const { bring, arrive, entered } = gate();
  await arrive(20);
  t.equal(entered.length, 1);
  t.equal(entered[0]?.lease, undefined);
  bring();
  await turns();
  t.equal(entered.length, 1, 'the login is not over yet');
  entered[0]?.leave('connected');
  await turns();
  t.equal(entered.length, 20);
  t.ok(entered.slice(1).every(({ lease }) => lease?.session === SESSION));
});

t.test('a session that comes after the login is waited for', async (t) => {
  const { host, bring, arrive, entered } = gate();
  await arrive(5);
  entered[0]?.leave('connected');
  await turns();
  t.equal(entered.length, 1);
  bring();
  await turns();
  t.equal(entered.length, 5);
  t.equal(host.armed, 0);
});

t.test('a cluster that gives no session is used one handshake after another', async (t) => {
  const { host, arrive, entered } = gate();
  await arrive(3);
  entered[0]?.leave('connected');
  host.advance(1_000);
  await turns();
  t.equal(entered.length, 2);
  t.equal(entered[1]?.lease, undefined);
});

t.test('when the first handshake fails the next one takes its place', async (t) => {
  const { arrive, entered } = gate();
  await arrive(3);
  entered[0]?.leave('failed');
  await turns();
  t.equal(entered.length, 2);
  entered[1]?.leave('failed');
  await turns();
  t.equal(entered.length, 3);
});

t.test('who waits may give up, and a stopped gate holds nobody', async (t) => {
  const { host, gate: own, arrive, entered } = gate();
  await arrive(1);
  const controller = new AbortController();
  const waiting = own.enter(controller.signal);
  controller.abort(new Error('left'));
  await t.rejects(waiting, { message: 'left' });
  entered[0]?.leave('connected');
  own.stop();
  t.equal(host.armed, 0);
});
