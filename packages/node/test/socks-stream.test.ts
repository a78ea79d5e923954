import { Duplex } from 'node:stream';
import { SystemHost } from '@argyle/host/system';
import t from 'tap';
import { SocksStream } from '../src/socks-stream.ts';

/** Takes one write at a time, when the test says so. */
class Reluctant extends Duplex {
  taken: () => void = () => undefined;

  constructor() {
    super({ writableHighWaterMark: 4 });
  }

  override _read(): void {}

  override _write(_bytes: Buffer, _encoding: string, taken: () => void): void {
    this.taken = taken;
  }
}

const REPLY = Buffer.alloc(10);

t.test('the next request is read when the last reply has room', async (t) => {
  const peer = new Reluctant();
  const written = new SocksStream(new SystemHost(), peer).answer(REPLY, 60_000);
  const first = await Promise.race([written, Promise.resolve('waits')]);
  t.equal(first, 'waits');
  peer.taken();
  t.equal(await written, true);
  t.equal(peer.destroyed, false);
});

t.test('who asks ahead is served in turn with others', async (t) => {
  const peer = new Reluctant();
  const stream = new SocksStream(new SystemHost(), peer);
  let others = 0;
  const other = () => {
    others += 1;
    if (others < 3) setImmediate(other);
  };
  setImmediate(other);
  for (let request = 0; request < 3; request += 1) {
    t.equal(await stream.answer(Buffer.of(5), 60_000), true);
    t.ok(others > 0, 'somebody else had a turn');
  }
});

t.test('a peer that does not read its replies is cut', async (t) => {
  const peer = new Reluctant();
  t.equal(await new SocksStream(new SystemHost(), peer).answer(REPLY, 20), false);
  t.equal(peer.destroyed, true);
});

t.test('nothing waits for a peer that left', async (t) => {
  const peer = new Reluctant();
  const written = new SocksStream(new SystemHost(), peer).answer(REPLY, 60_000);
  peer.destroy();
  t.equal(await written, false);
});
