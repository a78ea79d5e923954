import { duplexPair } from 'node:stream';
import { SystemHost } from '@argyle/host/system';
import t from 'tap';
import { SocksStream } from '../src/socks-stream.ts';

function stream() {
  const [own, peer] = duplexPair();
  for (const end of [own, peer]) end.on('error', () => undefined);
  return { own, peer, socks: new SocksStream(new SystemHost(), own) };
}

t.test('work is told when who waits for it has left', async (t) => {
  const { peer, socks } = stream();
  const { result, left } = await socks.readOn(async (left) => {
    const before = left.aborted;
    peer.end();
    while (!left.aborted) await new Promise((resolve) => setImmediate(resolve));
    return before;
  });
  t.strictSame([result, left], [false, true]);
});

t.test('who has said more waits for an answer, even if that was the last', async (t) => {
  const { own, peer, socks } = stream();
  peer.end('more');
  const { left } = await socks.readOn(async (left) => {
    for (let turn = 0; turn < 10; turn += 1) await new Promise((next) => setImmediate(next));
    return left.aborted;
  });
  t.equal(left, false);
  t.equal(String(own.read()), 'more', 'and it is not lost');
});

t.test('a connection that is cut while it waits has left', async (t) => {
  const { own, peer, socks } = stream();
  peer.write('more');
  const { left } = await socks.readOn(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    own.destroy();
    await new Promise((resolve) => setImmediate(resolve));
  });
  t.equal(left, true);
});
