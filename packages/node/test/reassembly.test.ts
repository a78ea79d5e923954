import t from 'tap';
import { Reassembly, REASSEMBLY_MS, type Fragment } from '../src/reassembly.ts';

const HERE = Buffer.from('here');
const LAST = 0x80;

/** FRAG as it is on the wire. */
function fragment(frag: number, text: string, destination = HERE): Fragment {
  const [position, last] = [frag & ~LAST, (frag & LAST) !== 0];
  return { position, last, destination, data: Buffer.from(text) };
}

class Queue {
  dropped = 0;
  readonly machine = new Reassembly((fragments) => (this.dropped += fragments));

  /** What comes out, as text. */
  take(...fragments: readonly Fragment[]): readonly string[] {
    return fragments.flatMap((one) => this.machine.handle(one, 0)?.toString() ?? []);
  }
}

const THREE = [fragment(1, 'a'), fragment(2, 'b'), fragment(LAST | 3, 'c')];

t.test('fragments in their order are joined', async (t) => {
  const queue = new Queue();
  t.same(queue.take(...THREE), ['abc']);
  t.same(queue.take(fragment(LAST | 1, 'alone')), ['alone']);
  t.equal(queue.dropped, 0);
  t.equal(queue.machine.deadline, Infinity);
});

t.test('in any other order nothing comes out, and each is counted', async (t) => {
  const orders = [
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  for (const order of orders) {
    const queue = new Queue();
    t.same(queue.take(...order.map((at) => THREE[at]!)), [], order.join());
    queue.machine.abandon();
    t.equal(queue.dropped, 3, order.join());
  }
});

t.test('one that is missing is missed, and the next datagram comes whole', async (t) => {
  for (const lost of [0, 1, 2]) {
    const queue = new Queue();
    const came = THREE.filter((_, at) => at !== lost);
    t.same(queue.take(...came, ...THREE), ['abc'], `${lost}`);
    t.equal(queue.dropped, 2);
  }
});

t.test('what is left of one datagram is never joined to the next', async (t) => {
  const queue = new Queue();
  const next = [fragment(1, 'A'), fragment(LAST | 2, 'B')];
  t.same(queue.take(fragment(1, 'a'), ...next), ['AB']);
  t.equal(queue.dropped, 1);
});

t.test('what a network doubles is taken once', async (t) => {
  const queue = new Queue();
  t.same(queue.take(...THREE.flatMap((one) => [one, one])), ['abc']);
  t.equal(queue.dropped, 3);
});

t.test('a second one of the same number that says something else abandons both', async (t) => {
  const queue = new Queue();
  t.same(queue.take(THREE[0]!, THREE[1]!, fragment(2, 'x'), THREE[2]!), []);
  t.equal(queue.dropped, 4);
});

t.test('all parts go to one destination', async (t) => {
  const queue = new Queue();
  t.same(queue.take(THREE[0]!, fragment(LAST | 2, 'b', Buffer.from('there'))), []);
  t.equal(queue.dropped, 2);
});

t.test('a whole datagram abandons what was kept, and so does time', async (t) => {
  const queue = new Queue();
  queue.take(THREE[0]!);
  queue.machine.abandon();
  t.same(queue.take(THREE[1]!, THREE[2]!), []);
  t.equal(queue.dropped, 3);
  t.equal(queue.machine.handle(THREE[0]!, 10), undefined);
  t.equal(queue.machine.deadline, 10 + REASSEMBLY_MS);
  queue.machine.handle(THREE[1]!, 10 + REASSEMBLY_MS - 1);
  t.equal(queue.machine.deadline, 10 + REASSEMBLY_MS, 'the first one counts');
  queue.machine.handleDeadline(10 + REASSEMBLY_MS - 1);
  t.equal(queue.dropped, 3);
  queue.machine.handleDeadline(10 + REASSEMBLY_MS);
  t.equal(queue.dropped, 5);
  t.equal(queue.machine.deadline, Infinity);
  queue.machine.handle(THREE[0]!, 100_000);
  t.equal(queue.machine.handle(THREE[1]!, 100_000 + REASSEMBLY_MS), undefined, 'without a timer');
  t.equal(queue.dropped, 7);
});

t.test('127 fragments fit, and no more than a datagram has', async (t) => {
  const queue = new Queue();
  const most = Array.from({ length: 127 }, (_, at) => fragment(at === 126 ? 0xff : at + 1, 'x'));
  t.same(queue.take(...most), ['x'.repeat(127)]);
  t.same(queue.take(fragment(1, 'x'.repeat(65_507)), fragment(LAST | 2, 'y')), []);
  t.equal(queue.dropped, 2);
  t.same(queue.take(fragment(LAST, 'no place')), []);
  t.equal(queue.dropped, 3);
});

t.test('what is kept is a copy', async (t) => {
  const { machine } = new Queue();
  const [destination, data] = [Buffer.from('here'), Buffer.from('a')];
  machine.handle({ position: 1, last: false, destination, data }, 0);
  destination.fill(0);
  data.fill(0);
  const joined = machine.handle(fragment(LAST | 2, 'b'), 0);
  t.equal(joined?.toString(), 'ab');
});
