import t from 'tap';
import { NodeChoice } from '../src/node-choice.ts';

const RETRY_MS = 1000;
const REFUSED = { code: 'refused', message: 'connection refused' } as const;
const RESET = { code: 'reset', message: 'connection reset' } as const;
const WRONG_CA = { code: 'certificate', message: 'self-signed certificate' } as const;
const NONE: ReadonlySet<number> = new Set();

function choose(nodes = ['a', 'b', 'c'], drawn = 0) {
  const choice = new NodeChoice({ retryMs: RETRY_MS, random: () => drawn });
  nodes.forEach((label, node) => choice.add(node, label, 0));
  return choice;
}

function sample(delayMs: number) {
  return { delayMs, sample: true };
}

/** Enough samples for a decision. */
function measure(choice: NodeChoice, node: number, delayMs: number, now: number) {
  for (let time = 0; time < 3; time += 1) {
    choice.reached(node, now);
    choice.measured(node, sample(delayMs), now);
  }
}

t.test('before anything is known the node is drawn, so that clients spread', async (t) => {
  t.equal(choose(['a', 'b', 'c'], 0).preferred, 0);
  t.equal(choose(['a', 'b', 'c'], 0.99).preferred, 2);
  t.match(choose().reason(0), /drawn at random/);
  t.equal(choose(['a']).reason(0), 'the only node');
  t.notOk(choose().anyReached);
});

t.test('every node is tried at the start, a few times early, then now and then', async (t) => {
  const choice = choose();
  t.equal(choice.deadline, 0);
  t.same(choice.due(0), [0, 1, 2]);
  t.same(choice.due(0), [], 'each is under trial now');
  t.ok(choice.underTrial(1));
  t.equal(choice.deadline, Infinity);
  choice.reached(1, 0);
  t.notOk(choice.underTrial(1));
  const waits = [1, 2, 3, 4].map(() => {
    const at = choice.deadline;
    t.same(choice.due(at), [1]);
    choice.reached(1, at);
    return at;
  });
  t.same(waits, [500, 1_000, 25_000, 49_000], 'with the least jitter that can be drawn');
});

t.test('the fastest is preferred, but only for a gain that is worth it', async (t) => {
  const choice = choose();
  measure(choice, 0, 1.2, 0);
  measure(choice, 1, 1.0, 0);
  t.equal(choice.preferred, 0, 'a tenth of a millisecond is noise');
  t.equal(choice.reason(0), 'kept: 1.2 ms is not worth a move to b with 1.0 ms');
  measure(choice, 2, 0.8, 0);
  t.equal(choice.preferred, 2);
  t.equal(choice.reason(0), 'fastest: 0.8 ms against 1.0 ms');
  t.equal(choice.failovers, 0, 'a move for speed is no fail-over');
});

t.test('one lucky sample moves nobody', async (t) => {
  const choice = choose();
  measure(choice, 0, 10, 0);
  choice.reached(1, 0);
  choice.measured(1, sample(0.1), 0);
  t.equal(choice.preferred, 0);
});

t.test('two moves for speed are ten seconds apart', async (t) => {
  const choice = choose(['a', 'b']);
  measure(choice, 0, 10, 0);
  measure(choice, 1, 1, 0);
  t.equal(choice.preferred, 1);
  for (let time = 0; time < 20; time += 1) choice.measured(1, sample(50), 100);
  t.equal(choice.preferred, 1);
  choice.measured(1, sample(50), 10_000);
  t.equal(choice.preferred, 0);
});

t.test(
  'when the preferred node fails the next is preferred at once, and it says why',
  async (t) => {
    const choice = choose();
    measure(choice, 0, 1, 0);
    measure(choice, 1, 3, 0);
    measure(choice, 2, 2, 0);
    choice.failed(0, RESET, 100, 100);
    t.equal(choice.preferred, 2, 'the fastest of those that are left');
    t.equal(choice.reason(1400), 'a failed: connection reset, 1.3 s ago');
    t.equal(choice.failovers, 1);
    t.equal(choice.next(NONE, 100), 2);
    t.equal(choice.next(new Set([2]), 100), 1);
    t.equal(
      choice.next(new Set([1, 2]), 100),
      undefined,
      'the failed one is left alone for a while',
    );
  },
);

t.test('a failed node is tried again after a wait that doubles sixteenfold at most', async (t) => {
  const choice = choose(['a', 'b']);
  choice.due(0);
  choice.reached(1, 0);
  let now = 0;
  const waits = [0, 1, 2, 3, 4, 5, 6].map(() => {
    choice.failed(0, REFUSED, now, now);
    const waitMs = (choice.status(now)[0]?.nextTrialMs ?? 0) / RETRY_MS;
    now += waitMs * RETRY_MS;
    t.ok(choice.due(now).includes(0));
    return waitMs;
  });
  t.same(waits, [1, 2, 4, 8, 16, 16, 16]);
  choice.reached(0, now);
  choice.failed(0, REFUSED, now, now);
  t.equal(choice.status(now)[0]?.nextTrialMs, RETRY_MS, 'a success forgives');
});

t.test('many attempts that fail together are one failure', async (t) => {
  const choice = choose(['a', 'b']);
  for (let attempt = 0; attempt < 20; attempt += 1) choice.failed(0, REFUSED, 0, 10 + attempt);
  t.match(choice.status(30)[0], { failures: 1, nextTrialMs: RETRY_MS - 20 });
});

t.test('a node that came back is preferred again when it is worth it', async (t) => {
  const choice = choose(['a', 'b']);
  measure(choice, 0, 1, 0);
  measure(choice, 1, 2, 0);
  choice.failed(0, RESET, 5, 5);
  choice.reached(0, 2000);
  t.equal(choice.preferred, 1);
  t.match(choice.reason(2000), /^kept: 2.0 ms/);
  choice.measured(0, sample(1), 11_000);
  t.equal(choice.preferred, 0);
});

t.test('a node that was never reached is left without a fail-over being counted', async (t) => {
  const choice = choose();
  choice.due(0);
  choice.failed(0, REFUSED, 0, 0);
  t.not(choice.preferred, 0);
  t.equal(choice.failovers, 0);
});

t.test(
  'a suspect comes after the others while its trial is due, and costs nothing if it is well',
  async (t) => {
    const choice = choose(['a', 'b']);
    measure(choice, 0, 1, 0);
    measure(choice, 1, 2, 0);
    choice.suspect(0, RESET, 50);
    t.equal(choice.next(NONE, 50), 1);
    t.equal(choice.next(new Set([1]), 50), 0, 'it is better than nothing');
    t.equal(choice.preferred, 0);
    t.same(choice.due(50), [0]);
    choice.reached(0, 51);
    t.equal(choice.next(NONE, 51), 0);
    t.equal(choice.failovers, 0);
  },
);

t.test('when all have failed, requests try again after one wait, not after sixteen', async (t) => {
  const choice = choose(['a', 'b']);
  let now = 0;
  for (let round = 0; round < 5; round += 1) {
    for (const node of [0, 1]) choice.failed(node, REFUSED, now, now);
    now += 16 * RETRY_MS;
  }
  const lastAt = now - 16 * RETRY_MS;
  t.equal(choice.next(NONE, lastAt + 1), undefined);
  t.ok(choice.next(NONE, lastAt + RETRY_MS) !== undefined);
  t.match(choice.reason(now), /no node answers/);
  const left = choice.preferred ?? NaN;
  choice.reached(1 - left, now);
  t.equal(choice.preferred, 1 - left, 'the first that answers again is preferred');
});

t.test('what a person must mend is not tried again by requests', async (t) => {
  const choice = choose(['a']);
  choice.failed(0, WRONG_CA, 0, 0);
  choice.due(RETRY_MS);
  choice.failed(0, WRONG_CA, RETRY_MS, RETRY_MS);
  t.equal(choice.next(NONE, 2 * RETRY_MS), undefined);
  t.equal(choice.next(NONE, 3 * RETRY_MS), 0, 'only when its wait is over');
});

t.test('fail-over with several nodes ends at the only node that answers', async (t) => {
  const choice = choose();
  choice.reached(2, 0);
  choice.failed(0, REFUSED, 0, 0);
  choice.failed(1, REFUSED, 0, 0);
  t.equal(choice.preferred, 2);
  t.ok(choice.anyReached);
  choice.failed(2, RESET, 1, 1);
  t.notOk(choice.anyReached);
  t.equal(choice.preferred, 2);
});

t.test(
  'a node that comes is measured, and leaves the choice among the others as it is',
  async (t) => {
    const choice = choose(['a']);
    choice.due(0);
    measure(choice, 0, 10, 0);
    choice.add(7, 'b', 100);
    t.equal(choice.preferred, 0);
    t.same(choice.due(100), [7]);
    measure(choice, 7, 1, 20_000);
    t.equal(choice.preferred, 7, 'it is worth a move');
  },
);

t.test('until one was reached every node is as likely, whenever it came', async (t) => {
  const draws = [0.9, 0.9, 0.1];
  const choice = new NodeChoice({ retryMs: RETRY_MS, random: () => draws.shift() ?? 0 });
  t.equal(choice.preferred, undefined);
  t.equal(choice.next(NONE, 0), undefined);
  t.equal(choice.deadline, Infinity);
  t.equal(choice.reason(0), 'no address of a node is known');
  choice.add(0, 'a', 0);
  choice.add(1, 'b', 0);
  t.equal(choice.preferred, 1);
  choice.add(2, 'c', 0);
  t.equal(choice.preferred, 0);
  choice.failed(0, REFUSED, 0, 0);
  choice.add(3, 'd', 1);
  t.not(choice.preferred, 0, 'but for those that have failed');
});

t.test('of a node that was withdrawn nothing is said any more, and it says why', async (t) => {
  const choice = choose();
  for (const node of [0, 1, 2]) measure(choice, node, node + 1, 0);
  choice.remove(2, 50);
  t.equal(choice.preferred, 0);
  choice.remove(0, 100);
  t.equal(choice.preferred, 1);
  t.equal(choice.reason(2_100), 'a was withdrawn from its name, 2.0 s ago');
  t.equal(choice.reason(70_000), 'the only node');
  t.equal(choice.failovers, 0, 'a withdrawal is no fail-over');
  choice.reached(0, 200);
  choice.measured(0, sample(0.1), 200);
  choice.suspect(0, RESET, 200);
  choice.failed(0, RESET, 200, 200);
  t.equal(choice.state(0), undefined);
  t.equal(choice.preferred, 1);
  t.equal(choice.next(new Set([1]), 200), undefined);
  choice.remove(1, 300);
  t.equal(choice.preferred, undefined);
  choice.add(9, 'd', 400);
  t.equal(choice.preferred, 9);
});

t.test('a suspect that gives no sign of life is left as soon as another is well', async (t) => {
  const choice = choose(['a', 'b']);
  choice.due(0);
  measure(choice, 0, 1, 900);
  measure(choice, 1, 50, 900);
  choice.suspect(0, RESET, 1_000);
  t.same(choice.due(1_000), [0]);
  t.equal(choice.deadline, 1_200, 'the least patience');
  choice.due(1_199);
  t.equal(choice.preferred, 0);
  choice.due(1_200);
  t.equal(choice.preferred, 1);
  t.equal(choice.reason(1_300), 'a failed: connection reset, 0.3 s ago');
  t.equal(choice.failovers, 1);
  t.ok(choice.underTrial(0), 'its trial goes on');
  choice.reached(0, 1_400);
  t.equal(choice.preferred, 1, 'and it has to be worth a move');
});

t.test('without another that is well there is nowhere to go from a suspect', async (t) => {
  const choice = choose(['a', 'b']);
  choice.due(0);
  measure(choice, 0, 1, 0);
  choice.failed(1, REFUSED, 0, 0);
  choice.suspect(0, RESET, 500);
  choice.due(500);
  t.equal(choice.deadline, 1_000, 'the next trial of the other');
  choice.due(5_000);
  t.equal(choice.preferred, 0);
});

t.test('patience is for what is known: a sample, else any handshake, else a second', async (t) => {
  const choice = choose(['a']);
  t.equal(choice.patienceMs(0), 1_000);
  choice.reached(0, 0);
  choice.measured(0, { delayMs: 60, sample: false }, 0);
  t.equal(choice.patienceMs(0), 480);
  choice.measured(0, sample(1), 0);
  choice.measured(0, { delayMs: 900, sample: false }, 0);
  t.equal(choice.patienceMs(0), 200);
  t.equal(choice.status(0)[0]?.delayMs, 1);
});
