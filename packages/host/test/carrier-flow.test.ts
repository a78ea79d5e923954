import { once } from 'node:events';
import t from 'tap';
import { Carrier, type CarrierLoss } from '../src/carrier.ts';
import { encodeHeader } from '../src/chunks.ts';
import { FIRST_WINDOW_BYTES } from '../src/credit.ts';
import { SystemHost } from '../src/system.ts';
import {
  REQUEST,
  SUCCESS,
  FAILURE,
  NEVER,
  MIB,
  Carried,
  Bare,
  type Joined,
  readAll,
  broken,
  until,
  still,
} from './carried.ts';
import { Loopback } from './loopback.ts';
import { ManualHost } from './manual-host.ts';

const READERS = 100;
t.setTimeout(60_000);

function credit(bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return payload;
}

t.test('a reader that stands still stops neither the others nor loses anything', async (t) => {
  const carried = await Carried.open(t);
  const stalled = await carried.tunnel();
  const bytes = Buffer.alloc(24 * MIB, 'argyle');
  stalled.far.end(bytes);
  await still(() => stalled.asked.backwardBytes);
  t.ok(stalled.asked.backwardBytes < bytes.length, 'the rest waits at the sender');
  t.notOk(carried.left.isPaused(), 'the carrier goes on');
  const other = await carried.tunnel();
  other.far.end(bytes);
  t.ok((await readAll(other.near)).equals(bytes));
  t.ok((await readAll(stalled.near)).equals(bytes));
  for (const { near } of [stalled, other]) near.end();
  for (const { asking } of [stalled, other]) t.equal((await asking.closed).reason, 'ended');
});

t.test('a hundred readers that stand still hold up nobody, and little memory', async (t) => {
  const carried = await Carried.open(t);
  const bytes = Buffer.alloc(24 * MIB, 'argyle');
  const stalled: Joined[] = [];
  for (let opened = 0; opened < READERS; opened += 1) stalled.push(await carried.tunnel());
  const held = () =>
    stalled.reduce((sum, { asking, asked }) => {
      return sum + asked.backwardBytes - asking.forwardBytes;
    }, 0);
  for (const { far } of stalled.slice(0, 10)) far.write(bytes);
  for (const { far } of stalled.slice(10)) far.write(bytes.subarray(0, 4 * MIB));
  await still(() => stalled.reduce((sum, { asking }) => sum + asking.forwardBytes, 0));
  const waiting = stalled.reduce((sum, { nearHeld }) => sum + nearHeld.writableLength, 0);
  t.ok(waiting <= READERS * FIRST_WINDOW_BYTES + 8 * MIB, `${waiting} bytes wait for readers`);
  t.ok(held() <= READERS * 2 * FIRST_WINDOW_BYTES + 16 * MIB, `${held()} bytes wait to be sent`);
  const other = await carried.tunnel();
  other.far.end(bytes);
  other.near.end(bytes);
  t.ok((await readAll(other.near)).equals(bytes));
  t.ok((await readAll(other.far)).equals(bytes));
});

t.test('a peer that sends more than it was granted breaks its tunnel, and no other', async (t) => {
  const bare = await Bare.open(t);
  const far = [];
  for (const id of [1, 2]) {
    bare.say('request', id, REQUEST);
    const asked = await bare.side.next();
    const [held, peer] = await bare.loopback.pair();
    asked.answer(SUCCESS);
    asked.join(held, NEVER);
    far.push(peer);
  }
  // More than the kernel takes for a destination that does not read.
  for (let said = 0; said < 32; said += 1) bare.say('data', 1, Buffer.alloc(MIB));
  bare.say('data', 2, Buffer.alloc(FIRST_WINDOW_BYTES));
  bare.say('end', 2);
  t.equal((await readAll(far[1]!)).length, FIRST_WINDOW_BYTES);
  t.ok(bare.chunks.some(([kind, id]) => kind === 'reset' && id === 1));
  t.equal(await broken(far[0]!), 'ECONNRESET');
  t.strictSame(bare.side.losses, []);
});

t.test('credit beyond reason breaks its tunnel', async (t) => {
  const bare = await Bare.open(t);
  bare.say('request', 1, REQUEST);
  const asked = await bare.side.next();
  asked.answer(SUCCESS);
  bare.say('credit', 1, credit(2 ** 32 - 1));
  t.equal((await asked.closed).reason, 'reset');
  t.strictSame(bare.side.losses, []);
});

t.test('credit does not make a peer that reads nothing be sent more', async (t) => {
  const bare = await Bare.open(t);
  bare.say('request', 1, REQUEST);
  const asked = await bare.side.next();
  const [held, far] = await bare.loopback.pair();
  asked.answer(SUCCESS);
  asked.join(held, NEVER);
  await until(() => bare.chunks.length > 0);
  bare.peer.pause();
  far.write(Buffer.alloc(64 * MIB));
  bare.say('credit', 1, credit(64 * MIB));
  await still(() => asked.backwardBytes);
  const before = asked.backwardBytes;
  t.ok(before < 32 * MIB);
  for (let said = 0; said < 500; said += 1) {
    bare.say('credit', 1, credit(MIB));
    await new Promise(setImmediate);
  }
  await still(() => bare.held.bytesRead);
  t.equal(asked.backwardBytes, before);
  t.ok(held.isPaused());
});

t.test('what comes for a tunnel that is unknown has no meaning', async (t) => {
  const bare = await Bare.open(t);
  for (const kind of ['end', 'reset'] as const) bare.say(kind, 7);
  bare.say('credit', 7, credit(1));
  bare.say('data', 7, REQUEST);
  bare.say('reply', 7, SUCCESS);
  bare.say('request', 1, REQUEST);
  (await bare.side.next()).answer(FAILURE);
  await until(() => bare.chunks.length > 0);
  t.strictSame(bare.chunks, [['reply', 1]]);
  t.strictSame(bare.side.losses, []);
});

t.test('what makes no sense in a tunnel breaks it, and no other', async (t) => {
  const bare = await Bare.open(t);
  const wrong: readonly (() => void)[] = [
    () => (bare.say('end', 1), bare.say('end', 1)),
    () => (bare.say('end', 1), bare.say('data', 1, REQUEST)),
    () => bare.say('reply', 1, FAILURE),
    () => bare.say('reply', 1, SUCCESS),
  ];
  for (const say of wrong) {
    bare.say('request', 1, REQUEST);
    const asked = await bare.side.next();
    const gone = new Promise<void>((resolve) => asked.whenGone(resolve));
    say();
    await gone;
    t.equal((await asked.closed).reason, 'reset');
  }
  await until(() => bare.chunks.length === wrong.length);
  t.strictSame(new Set(bare.chunks.map(([kind]) => kind)), new Set(['reset']));
  t.strictSame(bare.side.losses, []);
});

t.test('a second reply breaks the tunnel', async (t) => {
  const bare = await Bare.open(t, 'replies');
  const tunnel = bare.side.carrier.request(REQUEST);
  bare.say('reply', 1, SUCCESS);
  t.ok((await tunnel.replied)?.equals(SUCCESS));
  const [held, near] = await bare.loopback.pair();
  tunnel.join(held, NEVER);
  bare.say('reply', 1, FAILURE);
  t.equal(await broken(near), 'ECONNRESET');
  t.equal((await tunnel.closed).reason, 'reset');
});

t.test('what makes no sense on the connection ends it', async (t) => {
  const says: readonly ['requests' | 'replies', (bare: Bare) => void][] = [
    ['requests', (bare) => (bare.say('request', 1, REQUEST), bare.say('request', 1, REQUEST))],
    ['requests', (bare) => bare.peer.write('GET / HTTP/1.1\r\n\r\n')],
    ['requests', (bare) => bare.say('request', 0, REQUEST)],
    ['replies', (bare) => bare.say('request', 1, REQUEST)],
    ['replies', (bare) => bare.say('end', 1, REQUEST)],
  ];
  for (const [takes, say] of says) {
    const bare = await Bare.open(t, takes);
    say(bare);
    t.equal(await bare.side.lost(), 'malformed');
    t.ok(bare.held.destroyed);
    t.strictSame(bare.side.losses, ['malformed']);
  }
});

t.test('who asks and reads no answers is cut off, whatever the answers are', async (t) => {
  const asks: readonly ((id: number) => readonly Buffer[])[] = [
    (id) => [encodeHeader('request', id, REQUEST.length), REQUEST],
    (id) => [
      encodeHeader('request', id, REQUEST.length),
      REQUEST,
      encodeHeader('end', id, 0),
      encodeHeader('end', id, 0),
    ],
  ];
  for (const ask of asks) {
    const loopback = await Loopback.open(t);
    const [held, peer] = await loopback.pair();
    const { promise: lost, resolve } = Promise.withResolvers<CarrierLoss>();
    let asked = 0;
    new Carrier(new SystemHost(), held, {
      requested: (tunnel) => {
        asked += 1;
        if (ask === asks[0]) tunnel.answer(FAILURE);
      },
      lost: resolve,
    });
    const flood: Buffer[] = [];
    for (let id = 1; id <= 20_000; id += 1) flood.push(...ask(id));
    const bytes = Buffer.concat(flood);
    // The peer's socket is not read from the beginning.
    const more = () => {
      while (!peer.destroyed && peer.write(bytes));
    };
    peer.on('drain', more);
    more();
    t.equal(await lost, 'unread', `after ${asked} requests`);
    peer.destroy();
  }
});

t.test('requests wait unread while too many are unanswered', async (t) => {
  const bare = await Bare.open(t);
  for (let id = 1; id <= 20_000; id += 1) bare.say('request', id, REQUEST);
  await still(() => bare.held.bytesRead);
  t.ok(bare.held.isPaused());
  const first = bare.side.asked;
  t.ok(first > 256 && first < 20_000);
  for (let id = 1; id <= 20_000; id += 1) (await bare.side.next()).answer(FAILURE);
  await until(() => bare.chunks.length === 20_000);
  t.notOk(bare.held.isPaused());
  t.equal(bare.side.carrier.size, 0);
});

t.test('an idle tunnel is cut after its last byte, and leaves no timer', async (t) => {
  const manual = new ManualHost();
  const carried = await Carried.open(t, manual);
  const { near, far, asking, asked } = await carried.tunnel({ idleMs: 1_000 });
  manual.advance(900);
  near.write('x');
  await once(far.resume(), 'data');
  manual.advance(900);
  t.equal(manual.armed, 2, 'the byte moved the bound');
  manual.advance(1_000);
  const reasons = [(await asking.closed).reason, (await asked.closed).reason];
  t.ok(reasons.includes('idle'));
  t.equal(manual.armed, 0);
  const next = await carried.tunnel({ idleMs: 1_000 });
  for (const peer of [next.near, next.far]) peer.resume().end();
  await Promise.all([next.asking.closed, next.asked.closed]);
  t.equal(manual.armed, 0, 'nor does one that ended');
});

t.test('handlers may end tunnels and ask for others at once', async (t) => {
  const loopback = await Loopback.open(t);
  const [left, right] = await loopback.pair();
  let rounds = 0;
  const { promise: lost, resolve } = Promise.withResolvers<void>();
  const ends: Promise<unknown>[] = [];
  const ask = () => {
    if (rounds === 100) return void left.destroy();
    rounds += 1;
    const tunnel = client.request(REQUEST);
    tunnel.whenGone(() => tunnel.abort());
    ends.push(tunnel.closed, tunnel.replied);
  };
  const client: Carrier = new Carrier(new SystemHost(), left, { idle: ask, lost: ask });
  new Carrier(new SystemHost(), right, {
    requested: (tunnel) => {
      ends.push(tunnel.closed);
      if (rounds % 3 === 0) tunnel.abort();
      else tunnel.answer(FAILURE);
      tunnel.abort();
      tunnel.answer(SUCCESS);
    },
    lost: () => resolve(),
  });
  ask();
  await lost;
  await Promise.all(ends);
  t.equal(rounds, 100);
});

t.test('numbers are not reused at once', async (t) => {
  const bare = await Bare.open(t, 'replies');
  for (let id = 1; id <= 3; id += 1) {
    const tunnel = bare.side.carrier.request(REQUEST);
    await until(() => bare.chunks.length === id);
    bare.say('reply', id, FAILURE);
    await tunnel.closed;
  }
  t.strictSame(bare.chunks, [
    ['request', 1],
    ['request', 2],
    ['request', 3],
  ]);
});
