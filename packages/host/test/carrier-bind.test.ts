/** A BIND has two replies; every other request one. */
import t from 'tap';
import { Bare, Carried, FAILURE, NEVER, readAll, REQUEST, SUCCESS } from './carried.ts';

const BIND = Buffer.of(5, 2, 0, 1, 127, 0, 0, 1, 0, 21);
const SECOND = Buffer.of(5, 0, 0, 1, 127, 0, 0, 1, 0, 20);

async function waiting(carried: Carried) {
  const asking = carried.client.carrier.request(BIND);
  const asked = await carried.node.next();
  asked.answer(SUCCESS);
  await asking.replied;
  return { asking, asked };
}

t.test('the second reply comes after the first, and then data', async (t) => {
  const carried = await Carried.open(t);
  const { asking, asked } = await waiting(carried);
  const [farHeld, far] = await carried.loopback.pair();
  asked.answer(SECOND);
  asked.join(farHeld, NEVER);
  far.end('at once');
  t.ok((await asking.repliedAgain)?.equals(SECOND));
  const [nearHeld, near] = await carried.loopback.pair();
  asking.join(nearHeld, NEVER);
  t.equal(String(await readAll(near)), 'at once');
  near.end();
  t.equal((await asking.closed).reason, 'ended');
});

t.test('a second reply that refuses ends the tunnel and leaves the carrier', async (t) => {
  const carried = await Carried.open(t);
  const { asking, asked } = await waiting(carried);
  asked.answer(FAILURE);
  t.ok((await asking.repliedAgain)?.equals(FAILURE));
  t.strictSame([(await asking.closed).reason, (await asked.closed).reason], ['ended', 'ended']);
  t.strictSame([carried.client.carrier.size, carried.node.carrier.size], [0, 0]);
});

t.test('a wait ends with either side, and with the carrier', async (t) => {
  const carried = await Carried.open(t);
  const first = await waiting(carried);
  const gone = new Promise<void>((resolve) => first.asked.whenGone(resolve));
  first.asking.abort();
  await gone;
  t.equal(await first.asking.repliedAgain, undefined);
  const second = await waiting(carried);
  second.asked.abort();
  t.equal(await second.asking.repliedAgain, undefined);
  const third = await waiting(carried);
  const lost = new Promise<void>((resolve) => third.asked.whenGone(resolve));
  const refused = carried.client.carrier.request(BIND);
  (await carried.node.next()).answer(FAILURE);
  t.equal((await refused.replied)?.[1], 1);
  t.equal(await refused.repliedAgain, undefined, 'a first reply that refuses is the last');
  carried.loopback.close();
  await lost;
  t.equal(await third.asking.repliedAgain, undefined);
});

t.test('no request has a reply too many', async (t) => {
  for (const [request, replies] of [
    [REQUEST, 1],
    [BIND, 2],
  ] as const) {
    const bare = await Bare.open(t, 'replies');
    const asking = bare.side.carrier.request(request);
    for (let reply = 0; reply <= replies; reply += 1) bare.say('reply', 1, SUCCESS);
    t.equal((await asking.closed).reason, 'reset', `after ${replies}`);
    t.ok(await asking.replied);
    t.equal((await asking.repliedAgain) !== undefined, replies === 2);
  }
});
