import t from 'tap';
import { Random } from '@argyle/simulator';
import { Allowance } from '../src/allowance.ts';
import { Deadlines } from '../src/deadlines.ts';
import { Outbox } from '../src/outbox.ts';
import { RoundTrips } from '../src/round-trips.ts';
import { SentPayloads } from '../src/sent-payloads.ts';
import { WaitingPayloads } from '../src/waiting-payloads.ts';

t.test('records to one place share a datagram as far as it goes, in order', (t) => {
  const outbox = new Outbox<string>(100, (a, b) => a === b);
  const record = (size: number, fill: number) => Buffer.alloc(size, fill);
  outbox.push(record(60, 1), 'a');
  outbox.push(record(40, 2), 'a');
  outbox.push(record(1, 3), 'a');
  outbox.push(record(10, 4), 'b');
  outbox.push(record(10, 5), 'a');
  outbox.push(record(150, 6), 'a');
  const sent: [string, number, number][] = [];
  for (let out = outbox.poll(); out; out = outbox.poll()) {
    sent.push([out.to, out.bytes.length, out.bytes[0]!]);
  }
  t.same(sent, [
    ['a', 100, 1],
    ['a', 1, 3],
    ['b', 10, 4],
    ['a', 10, 5],
    ['a', 150, 6],
  ]);
  t.end();
});

t.test('the earliest of many deadlines is found, however they move', (t) => {
  const random = new Random(1);
  const deadlines = new Deadlines<{ deadline: number }>();
  const items = Array.from({ length: 50 }, () => ({ deadline: Infinity }));
  for (let now = 0; now < 2_000; now += 1) {
    const item = random.pick(items);
    if (random.chance(0.1)) {
      item.deadline = Infinity;
      deadlines.disarm(item);
    } else {
      item.deadline = now + random.below(200);
      deadlines.arm(item);
    }
    const earliest = Math.min(...items.map(({ deadline }) => deadline));
    if (deadlines.next > earliest) t.fail(`${deadlines.next}, not ${earliest}`);
    for (let due = deadlines.take(now); due; due = deadlines.take(now)) {
      if (due.deadline > now) t.fail('not due');
      due.deadline = Infinity;
    }
    if (items.some(({ deadline }) => deadline <= now)) t.fail('one was missed');
  }
  t.pass('at every step');
  t.end();
});

t.test('an allowance gives so many a second, and no more at once', (t) => {
  const allowance = new Allowance(10);
  const taken = (now: number) =>
    Array.from({ length: 30 }, () => allowance.take(now)).filter(Boolean).length;
  t.equal(taken(5), 10);
  t.equal(taken(5), 0);
  t.equal(taken(205), 2);
  t.equal(taken(100_000), 10);
  t.end();
});

t.test('a timeout follows the round trips, and their variation', (t) => {
  const trips = new RoundTrips();
  t.equal(trips.timeoutMs(40), 200, 'nothing is known yet');
  for (let index = 0; index < 50; index += 1) trips.measured(1);
  t.equal(trips.timeoutMs(40), 40);
  t.equal(Math.round(trips.timeoutMs(0)), 11);
  for (let index = 0; index < 100; index += 1) trips.measured(index % 2 === 0 ? 80 : 120);
  t.ok(trips.timeoutMs(40) > 160 && trips.timeoutMs(40) < 200, `${trips.timeoutMs(40)}`);
  for (let index = 0; index < 50; index += 1) trips.measured(9_000);
  t.equal(trips.timeoutMs(40), 2_000);
  t.end();
});

t.test('what was sent is kept until its receipt, bounded in number, bytes and age', (t) => {
  const sent = new SentPayloads();
  const payload = (size: number) => ({ payload: new Uint8Array(size), firstAt: 0 });
  for (let sequence = 0; sequence < 10_000; sequence += 1) sent.add(sequence, payload(10), 0);
  t.equal(sent.size, 8_192);
  sent.acknowledge({ highest: 9_999, bitmap: new Uint8Array(1_024).fill(0xf0) });
  t.equal(sent.size, 4_096, 'the highest, and half of those before it, have come');
  t.equal(sent.triggerSentAt(9_998), 0);
  t.equal(sent.triggerSentAt(9_999), undefined);
  sent.taken(9_998);
  t.equal(sent.triggerSentAt(9_998), undefined, 'one record has one TAKE');
  sent.add(16_000, payload(10), 5_000);
  t.equal(sent.size, 1, 'nobody can ask for the others any more');
  for (let sequence = 17_000; sequence < 17_200; sequence += 1)
    sent.add(sequence, payload(60_000), 5_001);
  t.equal(sent.size, 139, 'eight megabytes');
  t.equal(sent.take({ fromSequence: 17_195, sentBy: 0 }).length, 5);
  t.equal(sent.take({ fromSequence: Infinity, sentBy: 5_001 }).length, 134);
  t.end();
});

t.test('of what lies further back than a receipt reaches, nobody says that it is missing', (t) => {
  const sent = new SentPayloads();
  for (let sequence = 0; sequence < 100; sequence += 1) {
    sent.add(sequence, { payload: Buffer.of(sequence), firstAt: 0 }, 0);
  }
  const receipt = { highest: 99, bitmap: new Uint8Array(2).fill(0x0f) };
  sent.acknowledge(receipt);
  t.equal(sent.takeUnknown(receipt).length, 83);
  t.same(
    sent.take({ fromSequence: 0, sentBy: 0 }).map(({ payload }) => payload[0]),
    [83, 84, 85, 86, 91, 92, 93, 94],
  );
  t.end();
});

t.test('what waits for a node is bounded, and too old after two seconds', (t) => {
  const waiting = new WaitingPayloads();
  const payload = { payload: new Uint8Array(1_200), firstAt: 0 };
  let givenUp = 0;
  for (let index = 0; index < 7_000; index += 1) givenUp += waiting.add(payload, index);
  t.same([givenUp, waiting.size], [10, 6_990], 'eight megabytes');
  givenUp = waiting.addFirst(
    Array.from({ length: 9_000 }, () => ({ ...payload })),
    8_000,
  );
  t.same([givenUp, waiting.size], [9_000, 6_990], 'the newest are worth most');
  const taken = waiting.takeAll(8_100);
  t.same([taken.young.length, taken.givenUp, waiting.size], [900, 6_090, 0]);
  t.equal(waiting.dueAt, Infinity);
  t.end();
});

t.test('what waits leaves in bursts that a socket has room for, in order', (t) => {
  const waiting = new WaitingPayloads();
  const all = Array.from({ length: 300 }, (_, index) => ({
    payload: Buffer.from([index >> 8, index]),
    firstAt: 0,
  }));
  waiting.addFirst(all, 1_000);
  const numbers: number[] = [];
  const bursts: number[] = [];
  for (let now = 1_000; waiting.size > 0; now += now === 1_005 ? 2.5 : 0.5) {
    const { young } = waiting.takeBurst(now);
    if (young.length > 0) bursts.push(young.length);
    numbers.push(...young.map(({ payload }) => Buffer.from(payload).readUInt16BE()));
  }
  t.same(bursts, [64, 16, 16, 16, 16, 16, 40, 16, 16, 16, 16, 16, 16, 16, 4]);
  t.same(numbers, [...all.keys()]);
  t.end();
});
