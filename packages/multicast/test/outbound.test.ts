import t from 'tap';
import { decodeData } from '../src/data.ts';
import { Outbound } from '../src/outbound.ts';

const ALPHA = 'a'.repeat(32);
const BRAVO = 'b'.repeat(32);

function outbound(): Outbound {
  return new Outbound({ segmentBytes: 200, writeTimeoutMs: 5_000 });
}

/** All that may leave now, with own copies coming back at once. */
function drain(stream: Outbound, now: number, { echo = true } = {}) {
  const sent: { sequence: number; to: readonly string[] | undefined; urgent: boolean }[] = [];
  for (;;) {
    const transmission = stream.poll(now);
    if (!transmission) return sent;
    const data = decodeData(Buffer.from(transmission.body));
    if (!data) throw new Error('no data');
    sent.push({ sequence: data.sequence, to: transmission.to, urgent: data.urgent });
    if (echo) stream.flow.back(data.sequence, now);
  }
}

function ended(stream: Outbound) {
  const all = [];
  for (let end = stream.pollEnded(); end; end = stream.pollEnded()) all.push(end);
  return all;
}

t.test('a write ends when every receiver has applied it, not when one has received it', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.admit(BRAVO, 0);
  const ticket = stream.enqueue(Buffer.from('x'), 0);
  t.same(drain(stream, 0), [{ sequence: 1, to: undefined, urgent: true }]);
  stream.acknowledge(ALPHA, { received: 1, applied: 1, gaps: [] }, 1);
  stream.acknowledge(BRAVO, { received: 1, applied: 0, gaps: [] }, 1);
  t.same(ended(stream), []);
  stream.acknowledge(BRAVO, { received: 1, applied: 1, gaps: [] }, 2);
  t.same(ended(stream), [{ kind: 'ended', ticket, outcome: 'replicated' }]);
  t.end();
});

t.test('a member that is alone waits for nobody and sends nothing', (t) => {
  const stream = outbound();
  const ticket = stream.enqueue(Buffer.from('x'), 0);
  t.same(ended(stream), [{ kind: 'ended', ticket, outcome: 'replicated' }]);
  t.same(drain(stream, 0), []);
  t.end();
});

t.test('writes gather in a segment, and the last of a burst is urgent', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  for (let write = 0; write < 10; write += 1) stream.enqueue(Buffer.alloc(30), 0);
  const sent = drain(stream, 0);
  t.same(
    sent.map(({ urgent }) => urgent),
    [false, false, true],
  );
  t.end();
});

t.test('no more own segments are out than the self-receipt gate lets through', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  for (let write = 0; write < 40; write += 1) stream.enqueue(Buffer.alloc(120), 0);
  t.equal(drain(stream, 0, { echo: false }).length, 16);
  stream.flow.back(3, 1);
  t.equal(drain(stream, 1, { echo: false }).length, 1);
  t.end();
});

t.test('a lost own copy stops the sender for 50 ms, then counts as lost', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  for (let write = 0; write < 40; write += 1) stream.enqueue(Buffer.alloc(120), 0);
  drain(stream, 0, { echo: false });
  stream.acknowledge(ALPHA, { received: 16, applied: 16, gaps: [] }, 1);
  t.equal(stream.deadline, 50);
  stream.handleDeadline(50);
  t.equal(stream.flow.selfReceipt.lost, 16);
  t.ok(drain(stream, 50, { echo: false }).length > 0);
  t.end();
});

t.test('the slowest receiver’s applied position bounds what is in flight', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.admit(BRAVO, 0);
  for (let write = 0; write < 100; write += 1) stream.enqueue(Buffer.alloc(120), 0);
  const first = drain(stream, 0).length;
  t.equal(first, stream.window.size);
  stream.acknowledge(ALPHA, { received: first, applied: first, gaps: [] }, 1);
  t.same(drain(stream, 1), []);
  stream.acknowledge(BRAVO, { received: first, applied: 5, gaps: [] }, 2);
  t.equal(drain(stream, 2).length, 5);
  t.end();
});

t.test('repairs too wait for their own copies, so that a sender goes on reading', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  for (let write = 0; write < 30; write += 1) stream.enqueue(Buffer.alloc(120), 0);
  drain(stream, 0);
  stream.acknowledge(ALPHA, { received: 0, applied: 0, gaps: [{ first: 1, count: 30 }] }, 10);
  t.equal(drain(stream, 12, { echo: false }).length, 16);
  t.equal(stream.deadline, 62, 'when the first count as lost');
  stream.acknowledge(ALPHA, { received: 16, applied: 16, gaps: [] }, 30);
  t.equal(stream.deadline, 62, 'and not before, although the time-out of others is past');
  for (let sequence = 1; sequence <= 16; sequence += 1) stream.flow.back(sequence, 31);
  t.equal(drain(stream, 31, { echo: false }).length, stream.sequence - 16);
  t.end();
});

t.test('who is slowest is asked for an echo, not with every segment', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.admit(BRAVO, 0);
  for (let write = 0; write < 100; write += 1) stream.enqueue(Buffer.alloc(120), 0);
  drain(stream, 0);
  const received = { received: 32, gaps: [] };
  stream.acknowledge(ALPHA, { ...received, applied: 32 }, 1);
  stream.acknowledge(BRAVO, { ...received, applied: 8 }, 1);
  const asked: string[] = [];
  for (let now = 2; now < 10; now += 1) {
    for (let sent = stream.poll(now); sent; sent = stream.poll(now)) {
      const data = decodeData(Buffer.from(sent.body));
      if (data?.echoOf) asked.push(`${data.sequence} ${data.echoOf}`);
      stream.flow.back(stream.sequence, now);
    }
    const { sequence } = stream;
    stream.acknowledge(ALPHA, { received: sequence, applied: sequence, gaps: [] }, now);
    stream.acknowledge(BRAVO, { received: sequence, applied: sequence - 4, gaps: [] }, now);
  }
  t.same(
    asked,
    [48, 64, 80].map((sequence) => `${sequence} ${BRAVO.slice(0, 16)}`),
  );
  t.end();
});

t.test('a full window urges its receivers once, not with every segment that then fits', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  for (let write = 0; write < 100; write += 1) stream.enqueue(Buffer.alloc(120), 0);
  t.same(
    drain(stream, 0).findIndex(({ urgent }) => urgent),
    31,
  );
  const urged: number[] = [];
  for (let applied = 1; applied <= 24; applied += 1) {
    stream.acknowledge(ALPHA, { received: applied, applied, gaps: [] }, applied);
    for (const { sequence, urgent } of drain(stream, applied)) if (urgent) urged.push(sequence);
  }
  t.same(urged, [40, 48, 56]);
  t.end();
});

t.test('a gap is repaired for those who report it, together when they do so together', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.admit(BRAVO, 0);
  for (let write = 0; write < 3; write += 1) stream.enqueue(Buffer.alloc(120), 0);
  drain(stream, 0);
  stream.acknowledge(ALPHA, { received: 0, applied: 0, gaps: [{ first: 1, count: 2 }] }, 3);
  stream.acknowledge(BRAVO, { received: 1, applied: 1, gaps: [{ first: 2, count: 1 }] }, 4);
  t.same(drain(stream, 4), [], 'requests are gathered');
  t.same(drain(stream, 5), [
    { sequence: 1, to: [ALPHA], urgent: false },
    { sequence: 2, to: [ALPHA, BRAVO], urgent: false },
  ]);
  t.equal(stream.repairs, 2);
  t.end();
});

t.test('without any acknowledgement a segment is sent again, ever more rarely', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.enqueue(Buffer.from('x'), 0);
  drain(stream, 0);
  const times: number[] = [];
  while (stream.deadline < 2_000) {
    const now = stream.deadline;
    stream.handleDeadline(now);
    if (drain(stream, now).length > 0) times.push(now);
  }
  t.same(times.slice(0, 5), [25, 75, 175, 375, 775]);
  t.end();
});

t.test('an excluded receiver releases who waits for it', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  const ticket = stream.enqueue(Buffer.from('x'), 0);
  drain(stream, 0);
  stream.exclude(ALPHA, 0);
  t.same(ended(stream), [{ kind: 'ended', ticket, outcome: 'replicated' }]);
  t.equal(stream.deadline, Infinity);
  t.end();
});

t.test('who joins later is asked only for what comes later', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.enqueue(Buffer.from('x'), 0);
  drain(stream, 0);
  t.equal(stream.admit(BRAVO, 1), 1);
  stream.acknowledge(ALPHA, { received: 1, applied: 1, gaps: [] }, 1);
  t.equal(ended(stream).length, 1);
  t.end();
});

t.test('positions beyond what was sent, or of strangers, change nothing', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.enqueue(Buffer.from('x'), 0);
  drain(stream, 0);
  t.notOk(stream.acknowledge(ALPHA, { received: 2, applied: 2, gaps: [] }, 1));
  t.notOk(stream.acknowledge(ALPHA, { received: 0, applied: 1, gaps: [] }, 1));
  t.notOk(stream.acknowledge(BRAVO, { received: 1, applied: 1, gaps: [] }, 1));
  const endless = [{ first: 1, count: 1024 }];
  t.notOk(stream.acknowledge(ALPHA, { received: Infinity, applied: 0, gaps: endless }, 1));
  t.notOk(stream.acknowledge(ALPHA, { received: 1, applied: 1, newest: 2, gaps: [] }, 1));
  t.same(ended(stream), []);
  t.end();
});

t.test('a write that is not applied in time fails at its caller', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  const ticket = stream.enqueue(Buffer.from('x'), 0);
  drain(stream, 0);
  stream.handleDeadline(5_000);
  t.same(ended(stream), [{ kind: 'ended', ticket, outcome: 'timeout' }]);
  t.end();
});

t.test('a receiver that applies nothing is stalled; one that has nothing to apply is not', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.admit(BRAVO, 0);
  t.same(stream.stalledFor(3_000, 10_000), []);
  stream.enqueue(Buffer.from('x'), 10_000);
  drain(stream, 10_000);
  stream.acknowledge(ALPHA, { received: 1, applied: 1, gaps: [] }, 10_001);
  t.same(stream.stalledFor(3_000, 12_000), []);
  t.same(stream.stalledFor(3_000, 13_001), [BRAVO]);
  t.end();
});

t.test('the queue is bounded', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  let accepted = 0;
  while (stream.enqueue(Buffer.alloc(1_000_000), 0) !== undefined) accepted += 1;
  t.equal(accepted, 16);
  t.equal(stream.enqueue(Buffer.alloc(2_000_000), 0), undefined);
  t.end();
});

t.test('a listener is sent what it asks for, while it is kept, and never waited for', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  t.equal(stream.admitListener(BRAVO), 0);
  const ticket = stream.enqueue(Buffer.from('x'), 0);
  drain(stream, 0);
  stream.acknowledge(ALPHA, { received: 1, applied: 1, gaps: [] }, 1);
  t.same(ended(stream), [{ kind: 'ended', ticket, outcome: 'replicated' }]);
  t.ok(stream.request(BRAVO, [{ first: 1, count: 1 }], false, 2));
  t.same(drain(stream, 4), [{ sequence: 1, to: [BRAVO], urgent: true }]);
  stream.tidy(3_000);
  t.equal(stream.oldest, 2);
  t.ok(stream.request(BRAVO, [{ first: 1, count: 1 }], false, 3_000), 'it was sent once');
  t.same(drain(stream, 3_010), []);
  t.end();
});

t.test('what all listeners heard being asked for is for all of them', (t) => {
  const stream = outbound();
  const charlie = 'c'.repeat(32);
  stream.admitListener(BRAVO);
  stream.admitListener(charlie);
  stream.enqueue(Buffer.from('x'), 0);
  drain(stream, 0);
  stream.request(BRAVO, [{ first: 1, count: 1 }], true, 1);
  t.same(
    drain(stream, 3).map(({ to }) => to),
    [[BRAVO, charlie]],
  );
  t.end();
});

t.test('a request for what was never sent, or of one who acknowledges, is refused', (t) => {
  const stream = outbound();
  stream.admit(ALPHA, 0);
  stream.admitListener(BRAVO);
  stream.enqueue(Buffer.from('x'), 0);
  drain(stream, 0);
  t.notOk(stream.request(BRAVO, [{ first: 1, count: 2 }], true, 1));
  t.notOk(stream.request(ALPHA, [{ first: 1, count: 1 }], true, 1));
  t.notOk(stream.request('c'.repeat(32), [{ first: 1, count: 1 }], true, 1));
  t.same(drain(stream, 3), []);
  t.end();
});

t.test('a write that is due has ended after its deadline, however its time is rounded', (t) => {
  for (let seed = 1; seed <= 1_000; seed += 1) {
    const stream = outbound();
    stream.admit(ALPHA, 0);
    stream.enqueue(Buffer.from('x'), 4_029 + seed / 997);
    drain(stream, 4_031);
    for (let { deadline } = stream; deadline < 9_032; deadline = stream.deadline) {
      stream.handleDeadline(deadline);
      drain(stream, deadline);
      if (stream.deadline > deadline) continue;
      t.fail(`still due at ${deadline}`);
      break;
    }
    t.same(ended(stream), [{ kind: 'ended', ticket: 1, outcome: 'timeout' }], `${seed}`);
  }
  t.end();
});
