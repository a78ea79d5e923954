import { duplexPair } from 'node:stream';
import t from 'tap';
import { watchLeaving } from '../src/leaving.ts';

function pair() {
  const [own, peer] = duplexPair();
  for (const end of [own, peer]) end.on('error', () => undefined);
  let told = 0;
  const stop = watchLeaving(own, () => (told += 1));
  return { own, peer, stop, told: () => told };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((next) => setImmediate(next));
}

t.test('an end, or a break, is told once', async (t) => {
  for (const leave of ['end', 'destroy'] as const) {
    const { own, peer, stop, told } = pair();
    if (leave === 'end') peer.end();
    else own.destroy();
    await turns();
    own.destroy();
    await turns();
    t.equal(told(), 1, leave);
    stop();
  }
});

t.test('who has sent more waits, and it stays in the stream', async (t) => {
  const { own, peer, stop, told } = pair();
  peer.end('more');
  await turns();
  t.strictSame([told(), own.isPaused()], [0, true]);
  stop();
  t.equal(String(own.read()), 'more');
  own.destroy();
  await turns();
  t.equal(told(), 0, 'nobody watches any more');
});

t.test('who has sent more and breaks off has left', async (t) => {
  const { own, peer, told } = pair();
  peer.write('more');
  await turns();
  own.destroy();
  await turns();
  t.equal(told(), 1);
});

t.test('who had left before is told of at once', async (t) => {
  for (const left of ['end', 'destroy'] as const) {
    const [own, peer] = duplexPair();
    if (left === 'end') peer.end();
    else own.destroy();
    own.resume();
    await turns();
    let told = 0;
    watchLeaving(own, () => (told += 1))();
    t.equal(told, 1, left);
  }
});

t.test('a watch that ends leaves the stream paused, and no listener', async (t) => {
  const { own, stop } = pair();
  await turns();
  stop();
  t.ok(own.isPaused());
  t.strictSame([own.listenerCount('data'), own.listenerCount('close')], [0, 0]);
});
