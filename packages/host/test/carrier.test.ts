import { once } from 'node:events';
import t from 'tap';
import { FIRST_WINDOW_BYTES } from '../src/credit.ts';
import { SystemHost } from '../src/system.ts';
import {
  REQUEST,
  SUCCESS,
  FAILURE,
  NEVER,
  MIB,
  Side,
  type Joined,
  Carried,
  Bare,
  readAll,
  broken,
  until,
  still,
} from './carried.ts';
import { Loopback } from './loopback.ts';

t.setTimeout(60_000);

t.test('tunnels side by side carry data both ways', async (t) => {
  const carried = await Carried.open(t);
  const tunnels: Joined[] = [];
  for (let index = 0; index < 8; index += 1) tunnels.push(await carried.tunnel());
  t.equal(carried.client.carrier.size, 8);
  await Promise.all(
    tunnels.map(async ({ near, far, asking, asked }, index) => {
      const there = Buffer.alloc(MIB + index, `there ${index}`);
      const back = Buffer.alloc(MIB - index, `${index} back`);
      near.end(there);
      far.end(back);
      const [heardBack, heardThere] = await Promise.all([readAll(near), readAll(far)]);
      t.ok(heardBack.equals(back) && heardThere.equals(there), `tunnel ${index}`);
      const [forwardBytes, backwardBytes] = [back.length, there.length];
      t.strictSame(await asking.closed, { reason: 'ended', forwardBytes, backwardBytes });
      t.strictSame(await asked.closed, {
        reason: 'ended',
        forwardBytes: backwardBytes,
        backwardBytes: forwardBytes,
      });
    }),
  );
  t.strictSame([carried.client.carrier.size, carried.node.carrier.size], [0, 0]);
  t.strictSame([carried.client.idles, carried.node.idles], [1, 1]);
  t.strictSame([...carried.client.losses, ...carried.node.losses], []);
});

t.test('a request that is refused leaves the carrier to the next', async (t) => {
  const carried = await Carried.open(t);
  const refused = carried.client.carrier.request(REQUEST);
  const asked = await carried.node.next();
  asked.answer(FAILURE);
  t.ok((await refused.replied)?.equals(FAILURE));
  const end = { reason: 'ended', forwardBytes: 0, backwardBytes: 0 };
  t.strictSame(await Promise.all([refused.closed, asked.closed]), [end, end]);
  t.equal(carried.client.carrier.size + carried.node.carrier.size, 0);
  const { near, far } = await carried.tunnel();
  near.end('question');
  t.equal(String(await readAll(far)), 'question');
});

t.test('each half closes by itself, and the other direction goes on', async (t) => {
  const carried = await Carried.open(t);
  for (const first of ['near', 'far'] as const) {
    const tunnel = await carried.tunnel();
    const [early, late] = first === 'near' ? [tunnel.near, tunnel.far] : [tunnel.far, tunnel.near];
    early.end('question');
    t.equal(String(await readAll(late)), 'question');
    late.end('answer');
    t.equal(String(await readAll(early)), 'answer');
    t.equal((await tunnel.asking.closed).reason, 'ended');
    t.equal((await tunnel.asked.closed).reason, 'ended');
  }
});

t.test('an end is passed on by who had it before there was a tunnel', async (t) => {
  const carried = await Carried.open(t);
  const [held, near] = await carried.loopback.pair();
  near.end();
  held.resume();
  await once(held, 'end');
  const asking = carried.client.carrier.request(REQUEST);
  const asked = await carried.node.next();
  const [farHeld, far] = await carried.loopback.pair();
  asked.answer(SUCCESS);
  asked.join(farHeld, NEVER);
  await asking.replied;
  asking.join(held, NEVER);
  t.equal((await readAll(far)).length, 0);
  far.end();
  near.resume();
  t.equal((await asking.closed).reason, 'ended');
});

t.test('data that comes before there is a socket waits for it', async (t) => {
  const bare = await Bare.open(t);
  const words = Buffer.alloc(FIRST_WINDOW_BYTES, 'argyle');
  bare.say('request', 1, REQUEST);
  bare.say('data', 1, words);
  bare.say('end', 1);
  const asked = await bare.side.next();
  await still(() => bare.held.bytesRead);
  const [held, far] = await bare.loopback.pair();
  asked.answer(SUCCESS);
  asked.join(held, NEVER);
  t.ok((await readAll(far)).equals(words));
  far.end();
  t.equal((await asked.closed).reason, 'ended');
});

t.test('a tunnel that the client gives up before the reply is gone at the node', async (t) => {
  const carried = await Carried.open(t);
  const asking = carried.client.carrier.request(REQUEST);
  const asked = await carried.node.next();
  const gone = new Promise<void>((resolve) => asked.whenGone(resolve));
  asking.abort();
  t.equal(await asking.replied, undefined);
  t.equal((await asking.closed).reason, 'aborted');
  await gone;
  t.equal((await asked.closed).reason, 'reset');
  let told = 0;
  asked.whenGone(() => (told += 1));
  t.equal(told, 1, 'who asks later is told at once');
  asked.answer(SUCCESS);
  const [held, far] = await carried.loopback.pair();
  asked.join(held, NEVER);
  t.equal(await broken(far), 'ECONNRESET');
  t.equal(carried.node.carrier.size, 0);
});

t.test('a tunnel that the node gives up before the reply has none', async (t) => {
  const carried = await Carried.open(t);
  const asking = carried.client.carrier.request(REQUEST);
  (await carried.node.next()).abort();
  t.equal(await asking.replied, undefined);
  t.equal((await asking.closed).reason, 'reset');
  t.equal(carried.client.carrier.size, 0);
});

t.test('a tunnel that is cut after the reply breaks what is joined to it later', async (t) => {
  const carried = await Carried.open(t);
  for (const cut of ['the node', 'the client', 'the destination'] as const) {
    const asking = carried.client.carrier.request(REQUEST);
    const asked = await carried.node.next();
    asked.answer(SUCCESS);
    await asking.replied;
    const [held, near] = await carried.loopback.pair();
    if (cut === 'the node') asked.abort();
    else if (cut === 'the client') asking.abort();
    else {
      const [farHeld, far] = await carried.loopback.pair();
      asked.join(farHeld, NEVER);
      far.resetAndDestroy();
    }
    await Promise.all([asking.closed, asked.closed]);
    asking.join(held, NEVER);
    t.equal(await broken(near), 'ECONNRESET', cut);
  }
  t.equal(carried.client.carrier.size + carried.node.carrier.size, 0);
});

t.test('a reset of one end is a reset of the other, never a clean end', async (t) => {
  const carried = await Carried.open(t);
  for (const first of ['near', 'far'] as const) {
    const tunnel = await carried.tunnel();
    const [resetting, other] =
      first === 'near' ? [tunnel.near, tunnel.far] : [tunnel.far, tunnel.near];
    const error = broken(other);
    resetting.resetAndDestroy();
    t.equal(await error, 'ECONNRESET', first);
    t.equal((await tunnel.asking.closed).reason, 'reset');
    t.equal((await tunnel.asked.closed).reason, 'reset');
  }
});

t.test('an aborted tunnel breaks both ends, and no other', async (t) => {
  const carried = await Carried.open(t);
  const other = await carried.tunnel();
  const tunnel = await carried.tunnel();
  const errors = Promise.all([broken(tunnel.near), broken(tunnel.far)]);
  tunnel.asking.abort();
  tunnel.asking.abort();
  t.strictSame(await errors, ['ECONNRESET', 'ECONNRESET']);
  t.equal((await tunnel.asking.closed).reason, 'aborted');
  t.equal((await tunnel.asked.closed).reason, 'reset');
  other.near.end('question');
  t.equal(String(await readAll(other.far)), 'question');
});

t.test('what was still to be written when a tunnel breaks is missed', async (t) => {
  const bare = await Bare.open(t);
  bare.say('request', 1, REQUEST);
  const asked = await bare.side.next();
  const [held, far] = await bare.loopback.pair();
  asked.answer(SUCCESS);
  asked.join(held, NEVER);
  // As much as is granted: then the kernel has enough, and the rest waits here.
  bare.whenGranted(1, (bytes) => bare.say('data', 1, Buffer.alloc(bytes)));
  await still(() => held.bytesWritten);
  bare.say('end', 1);
  await until(() => held.writableEnded);
  bare.say('reset', 1);
  await asked.closed;
  t.equal(await broken(far), 'ECONNRESET', 'an upload that was cut has no clean end');
});

t.test('with the carrier goes every tunnel, whatever its stage', async (t) => {
  for (const how of ['ended', 'reset'] as const) {
    const carried = await Carried.open(t);
    const { near, far, ...open } = await carried.tunnel();
    const unanswered = carried.client.carrier.request(REQUEST);
    const waiting = await carried.node.next();
    const gone = new Promise<void>((resolve) => waiting.whenGone(resolve));
    const replied = carried.client.carrier.request(REQUEST);
    const unjoined = await carried.node.next();
    unjoined.answer(SUCCESS);
    await replied.replied;
    const errors = Promise.all([broken(near), broken(far)]);
    if (how === 'ended') carried.left.end();
    else carried.left.resetAndDestroy();
    t.equal(await carried.node.lost(), how);
    await gone;
    if (how === 'ended') carried.right.end();
    t.equal(await carried.client.lost(), how);
    t.equal(await unanswered.replied, undefined);
    const tunnels = [open.asking, open.asked, unanswered, waiting, replied, unjoined];
    const ends = await Promise.all(tunnels.map(({ closed }) => closed));
    t.strictSame(new Set(ends.map(({ reason }) => reason)), new Set(['reset']));
    t.strictSame(await errors, ['ECONNRESET', 'ECONNRESET']);
    const late = carried.client.carrier.request(REQUEST);
    t.equal(await late.replied, undefined, 'a later request fails at once');
    t.equal((await late.closed).reason, 'reset');
    t.strictSame([carried.client.losses, carried.node.losses], [[how], [how]]);
    t.equal(carried.client.idles + carried.node.idles, 0);
    t.equal(carried.left.listenerCount('data') + carried.left.listenerCount('drain'), 0);
  }
});

t.test('a stream that was gone or had ended before loses the carrier', async (t) => {
  const loopback = await Loopback.open(t);
  const [gone] = await loopback.pair();
  gone.destroy();
  await once(gone, 'close');
  t.equal(await new Side(new SystemHost(), gone, 'requests').lost(), 'reset');
  const [held, peer] = await loopback.pair();
  peer.end();
  held.resume();
  await once(held, 'end');
  t.equal(await new Side(new SystemHost(), held, 'requests').lost(), 'ended');
});

t.test('a request fails at once when the stream is being ended here', async (t) => {
  const bare = await Bare.open(t, 'replies');
  bare.held.end();
  const tunnel = bare.side.carrier.request(REQUEST);
  t.equal(await tunnel.replied, undefined);
  t.equal(bare.side.carrier.size, 0);
  await once(bare.peer, 'end');
  t.equal(bare.held.errored, null);
});

t.test('a request that crosses the end of the stream is not served', async (t) => {
  const bare = await Bare.open(t);
  bare.held.end();
  bare.say('request', 1, REQUEST);
  bare.peer.end();
  t.equal(await bare.side.lost(), 'ended');
  t.equal(bare.side.asked, 0);
  t.equal(bare.held.errored, null);
});
