import t from 'tap';
import { Inbound, MESSAGE_BYTES_MAX, RECEIVE_WINDOW } from '../src/inbound.ts';

const whole = (text: string) => ({ first: true, last: true, bytes: Buffer.from(text) });
const data = (sequence: number, ...items: ReturnType<typeof whole>[]) => ({
  sequence,
  urgent: false,
  items: items.length > 0 ? items : [whole(String(sequence))],
});

function drain(inbound: Inbound): string[] {
  const messages: string[] = [];
  for (let message = inbound.poll(); message; message = inbound.poll()) {
    messages.push(Buffer.from(message).toString());
  }
  return messages;
}

t.test('segments in any order become messages in the sender’s order, once', (t) => {
  const inbound = new Inbound(10);
  t.equal(inbound.accept(data(13)), 'new');
  t.equal(inbound.accept(data(12)), 'new');
  t.same(drain(inbound), []);
  t.equal(inbound.received, 10);
  t.equal(inbound.accept(data(11)), 'new');
  t.equal(inbound.accept(data(12)), 'duplicate');
  t.same(drain(inbound), ['11', '12', '13']);
  t.equal(inbound.accept(data(11)), 'duplicate');
  t.same(drain(inbound), []);
  t.end();
});

t.test('the newest is what has come itself, whatever is missing or said', (t) => {
  const inbound = new Inbound(10);
  t.equal(inbound.newest, 10);
  inbound.extend(20);
  t.equal(inbound.newest, 10);
  inbound.accept(data(14));
  inbound.accept(data(12));
  t.equal(inbound.newest, 14);
  t.end();
});

t.test('a position counts as applied when its last message was polled past, not before', (t) => {
  const inbound = new Inbound(0);
  inbound.accept(data(1, whole('a'), whole('b')));
  t.equal(inbound.received, 1);
  inbound.poll();
  inbound.poll();
  t.equal(inbound.applied, 0, 'b is in the caller’s hands');
  inbound.poll();
  t.equal(inbound.applied, 1);
  t.end();
});

t.test('what came before the join is not followed', (t) => {
  const inbound = new Inbound(5);
  t.equal(inbound.accept(data(5)), 'duplicate');
  t.same(inbound.gaps(), []);
  t.end();
});

t.test('who joins in the middle of a message passes its rest over, and blames nobody', (t) => {
  const inbound = new Inbound(5);
  inbound.accept(data(6, { first: false, last: false, bytes: Buffer.from('rest') }));
  inbound.accept(data(7, { first: false, last: true, bytes: Buffer.from('end') }, whole('next')));
  t.same(drain(inbound), ['next']);
  t.equal(inbound.malformed, 0);
  inbound.accept(data(8, { first: false, last: true, bytes: Buffer.from('of nothing') }));
  t.equal(inbound.malformed, 1);
  t.end();
});

t.test('the whole position stays before a message that has begun, until it has ended', (t) => {
  const inbound = new Inbound(0);
  inbound.accept(data(1, whole('a')));
  inbound.accept(data(2, whole('b'), { first: true, last: false, bytes: Buffer.from('c') }));
  inbound.accept(data(3, { first: false, last: false, bytes: Buffer.from('c') }));
  t.same(drain(inbound), ['a', 'b']);
  t.same([inbound.applied, inbound.whole], [3, 1]);
  inbound.accept(data(4, { first: false, last: true, bytes: Buffer.from('c') }));
  t.equal(inbound.whole, 1, 'it is not applied yet');
  t.same(drain(inbound), ['ccc']);
  t.same([inbound.applied, inbound.whole], [4, 4]);
  t.end();
});

t.test('gaps below the highest known sequence are listed, also those at the end', (t) => {
  const inbound = new Inbound(0);
  inbound.accept(data(2));
  inbound.accept(data(5));
  inbound.extend(7);
  t.same(inbound.gaps(), [
    { first: 1, count: 1 },
    { first: 3, count: 2 },
    { first: 6, count: 2 },
  ]);
  t.end();
});

t.test('what lies beyond the window is refused, and claims of it list no endless gap', (t) => {
  const inbound = new Inbound(0);
  t.equal(inbound.accept(data(RECEIVE_WINDOW + 1)), 'beyond window');
  inbound.extend(Number.MAX_SAFE_INTEGER);
  t.same(inbound.gaps(), [{ first: 1, count: RECEIVE_WINDOW }]);
  t.end();
});

t.test('fragments are joined, and those that make no whole are counted', (t) => {
  const inbound = new Inbound(0);
  const part = (text: string, first: boolean, last: boolean) => ({
    first,
    last,
    bytes: Buffer.from(text),
  });
  inbound.accept(data(1, part('ab', true, false)));
  inbound.accept(data(2, part('cd', false, false)));
  inbound.accept(data(3, part('e', false, true), part('x', false, true), whole('f')));
  t.same(drain(inbound), ['abcde', 'f']);
  t.equal(inbound.malformed, 1);
  t.end();
});

t.test('a message that never ends is cut off at its bound', (t) => {
  const inbound = new Inbound(0);
  const bytes = new Uint8Array(60_000);
  const parts = Math.ceil(MESSAGE_BYTES_MAX / bytes.length) + 1;
  for (let sequence = 1; sequence <= parts; sequence += 1) {
    inbound.accept(
      data(sequence, { first: sequence === 1, last: false, bytes: Buffer.from(bytes) }),
    );
  }
  t.same(drain(inbound), []);
  t.ok(inbound.malformed > 0);
  t.end();
});
