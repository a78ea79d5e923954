import t from 'tap';
import type { Resolve } from '@argyle/host';
import { ManualHost } from '@argyle/host/manual-host';
import { Counters } from '../src/counters.ts';
import { ClientError } from '../src/errors.ts';
import { Nodes } from '../src/nodes.ts';
import type { Logged } from './scene.ts';

const PORT = 11080;
const REFUSED = new ClientError('refused', 'connection refused');
/** With the least jitter that can be drawn. */
const REGULAR_MS = 24_000;

interface Question {
  readonly name: string;
  readonly signal: AbortSignal;
  answer(...addresses: string[]): Promise<void>;
  fail(why: string): Promise<void>;
}

/** The nodes of these hosts, started, with name servers that say what the test says. */
function open(...hosts: string[]) {
  const host = new ManualHost();
  const log: Logged[] = [];
  const write = (level: string) => (fields: object, message: string) => {
    log.push({ level, message, fields });
  };
  const questions: Question[] = [];
  const resolve: Resolve = (name, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
    signal.addEventListener('abort', () => reject(signal.reason));
    questions.push({
      name,
      signal,
      answer: (...addresses) => settled(() => resolve(addresses)),
      fail: (why) => settled(() => reject(new Error(why))),
    });
    return promise;
  };
  const counters = new Counters();
  const connections = new Map<number, number>();
  const [tried, forgotten]: [number[], number[]] = [[], []];
  let changes = 0;
  const nodes = new Nodes(
    {
      host,
      log: {
        debug: write('debug'),
        info: write('info'),
        warn: write('warn'),
        error: write('error'),
      },
      counters,
      resolve,
    },
    { nodes: hosts.map((address) => ({ address, port: PORT })), retryMs: 500, random: () => 0 },
    {
      try: (node) => void tried.push(node),
      changed: () => void (changes += 1),
      failed: () => undefined,
      forgotten: (node) => void forgotten.push(node),
      connections: (node) => connections.get(node) ?? 0,
    },
  );
  nodes.settle();
  const reach = (...reached: number[]) => {
    for (const node of reached) {
      const handshake = { delayMs: 1, sample: true };
      nodes.reached({ node, securedAt: host.now(), handshake });
    }
  };
  const said = (event: string) =>
    log.filter(({ fields }) => 'event' in fields && fields.event === event);
  const shown = () => nodes.status.map(({ label, state }) => `${label} ${state}`);
  const count = () => changes;
  return {
    ...{ host, nodes, counters, connections, questions, tried, forgotten },
    ...{ reach, said, shown, count },
  };
}

/** What follows from it has happened. */
async function settled(cause: () => void) {
  cause();
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

t.test('nodes that are addresses are there at once, and nobody is asked', async (t) => {
  const { nodes, questions, tried, host, shown } = open('192.0.2.1', '192.0.2.2');
  t.same(tried, [0, 1]);
  t.same(shown(), ['192.0.2.1:11080 unknown', '192.0.2.2:11080 unknown']);
  t.notOk(nodes.lookingUp);
  host.advance(1e6);
  t.same(questions, []);
  await nodes.stop();
  t.equal(host.armed, 0);
});

t.test('each address that a name brings is tried, and may be the one', async (t) => {
  const { nodes, questions, tried, shown, said, count } = open('node');
  t.same(tried, []);
  t.equal(nodes.choice.preferred, undefined);
  t.ok(nodes.lookingUp);
  const before = count();
  await questions[0]?.answer('192.0.2.1', '192.0.2.2');
  t.same(tried, [0, 1]);
  t.equal(nodes.choice.preferred, 0);
  t.ok(count() > before, 'who waits is told');
  t.same(shown(), ['node:11080 (192.0.2.1) unknown', 'node:11080 (192.0.2.2) unknown']);
  t.same(nodes.endpoint(1), { address: '192.0.2.2', port: PORT });
  t.same(
    said('nodes-changed').map(({ fields }) => fields),
    [
      {
        event: 'nodes-changed',
        came: ['node:11080 (192.0.2.1)', 'node:11080 (192.0.2.2)'],
        left: [],
      },
    ],
  );
  await nodes.stop();
});

t.test('names are asked for side by side: one that hangs delays no other', async (t) => {
  const { nodes, host, questions, tried, counters, said } = open('silent', 'node');
  await questions[1]?.answer('192.0.2.1');
  t.same(tried, [0]);
  host.advance(4_999);
  t.notOk(questions[0]?.signal.aborted);
  host.advance(1);
  await settled(() => undefined);
  t.ok(questions[0]?.signal.aborted, 'it has its time and no more');
  t.same(counters.lookUps, { answered: 1, failed: 1 });
  t.match(said('name-unresolved'), [{ level: 'warn', fields: { name: 'silent' } }]);
  await nodes.stop();
});

t.test('a name that fails is told once, each failure counted, and its return told', async (t) => {
  const { nodes, host, questions, counters, said, shown } = open('node');
  await questions[0]?.answer('192.0.2.1');
  host.advance(REGULAR_MS);
  for (let time = 1; time <= 5; time += 1) {
    await questions[time]?.fail('no answer');
    host.advance(30_000);
  }
  t.equal(counters.lookUps.failed, 5);
  t.equal(said('name-unresolved').length, 1);
  t.match(nodes.names, [{ name: 'node', addresses: ['192.0.2.1'], failure: 'no answer' }]);
  t.same(shown(), ['node:11080 (192.0.2.1) unknown'], 'what was known is still known');
  await questions[6]?.answer();
  t.match(nodes.names, [{ failure: 'it has no address' }], 'an empty answer is none');
  host.advance(30_000);
  await questions[7]?.answer('192.0.2.1');
  t.equal(said('name-resolved').length, 1);
  t.equal(said('nodes-changed').length, 1, 'nothing has changed');
  await nodes.stop();
});

t.test(
  'an address that left is drained: there as long as its connections, and no more',
  async (t) => {
    const { nodes, host, questions, connections, reach, tried, forgotten, shown } = open('node');
    await questions[0]?.answer('192.0.2.1', '192.0.2.2');
    reach(0, 1);
    connections.set(0, 2);
    host.advance(REGULAR_MS);
    await questions[1]?.answer('192.0.2.2', '192.0.2.3');
    t.equal(nodes.choice.preferred, 1);
    t.equal(nodes.choice.state(0), undefined);
    t.same(shown(), [
      'node:11080 (192.0.2.2) reached',
      'node:11080 (192.0.2.3) unknown',
      'node:11080 (192.0.2.1) leaving',
    ]);
    t.match(nodes.status[2], { connections: 2 });
    const before = tried.filter((node) => node === 0).length;
    host.advance(100_000);
    t.equal(tried.filter((node) => node === 0).length, before, 'not even a trial');
    connections.set(0, 1);
    nodes.closed(0);
    t.same(forgotten, []);
    connections.set(0, 0);
    nodes.closed(0);
    nodes.closed(0);
    t.same(forgotten, [0]);
    t.equal(shown().length, 2);
    await nodes.stop();
  },
);

t.test('one that left with nothing open is gone, and comes back as another', async (t) => {
  const { nodes, host, questions, forgotten, tried } = open('node');
  await questions[0]?.answer('192.0.2.1', '192.0.2.2');
  host.advance(REGULAR_MS);
  await questions[1]?.answer('192.0.2.2');
  t.same(forgotten, [0]);
  host.advance(REGULAR_MS);
  await questions[2]?.answer('192.0.2.1', '192.0.2.2');
  t.same(
    nodes.status.map(({ node }) => node),
    [1, 2],
  );
  t.ok(tried.includes(2), 'it is measured');
  await nodes.stop();
});

t.test('one that returns while it is leaving is itself again, to be measured anew', async (t) => {
  const { nodes, host, questions, connections, reach, tried, shown } = open('node');
  await questions[0]?.answer('192.0.2.1', '192.0.2.2');
  reach(0, 1);
  connections.set(0, 1);
  host.advance(REGULAR_MS);
  await questions[1]?.answer('192.0.2.2');
  host.advance(REGULAR_MS);
  const before = tried.length;
  await questions[2]?.answer('192.0.2.1', '192.0.2.2');
  t.same(tried.slice(before), [0]);
  t.same(shown(), ['node:11080 (192.0.2.2) reached', 'node:11080 (192.0.2.1) unknown']);
  await nodes.stop();
});

t.test('when something is wrong at an address its name is looked up, within bounds', async (t) => {
  const { nodes, host, questions, reach } = open('node', '192.0.2.9');
  await questions[0]?.answer('192.0.2.1');
  reach(0, 1);
  host.advance(500);
  nodes.failed(0, REFUSED, host.now());
  t.equal(questions.length, 1, 'no one was configured as an address');
  nodes.failed(1, REFUSED, host.now());
  t.equal(questions.length, 1, 'not within a second');
  host.advance(500);
  t.equal(questions.length, 2);
  await questions[1]?.answer('192.0.2.1');
  for (let time = 0; time < 1_000; time += 1) nodes.failed(1, REFUSED, host.now());
  t.equal(questions.length, 2);
  host.advance(1_000);
  t.equal(questions.length, 3);
  await nodes.stop();
});

t.test('a stop ends look-ups, and nothing follows from them', async (t) => {
  const { nodes, host, questions, counters, said } = open('node', 'other');
  const stopped = nodes.stop();
  t.ok(questions.every(({ signal }) => signal.aborted));
  await stopped;
  await questions[0]?.answer('192.0.2.1');
  t.same(nodes.status, []);
  t.same(counters.lookUps, { answered: 0, failed: 0 });
  t.equal(said('name-unresolved').length, 0);
  t.equal(host.armed, 0);
});
