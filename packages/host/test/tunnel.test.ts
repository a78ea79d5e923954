import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import type { Host } from '../src/host.ts';
import { SystemHost } from '../src/system.ts';
import { openTunnel } from '../src/tunnel.ts';
import { ManualHost } from './manual-host.ts';

/** Two ends of one connection on loopback: the peer's and the one that a tunnel would hold. */
async function pair(server: Server): Promise<{ peer: Socket; held: Socket }> {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const { port } = server.address() as AddressInfo;
  const peer = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const [[held]] = await Promise.all([accepted, once(peer, 'connect')]);
  return { peer, held };
}

async function tunnelled(test: Test, host: Host = new SystemHost(), idleMs = Infinity) {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => void server.close());
  const left = await pair(server);
  const right = await pair(server);
  for (const { peer } of [left, right]) {
    peer.on('error', () => undefined);
    test.teardown(() => void peer.destroy());
  }
  const tunnel = openTunnel(host, left.held, right.held, { idleMs });
  return { tunnel, left: left.peer, right: right.peer, held: [left.held, right.held] };
}

async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

t.test('each half closes by itself, and the other direction goes on', async (t) => {
  const { tunnel, left, right } = await tunnelled(t);
  left.end('question');
  t.equal(String(await readAll(right)), 'question');
  right.end('answer');
  t.equal(String(await readAll(left)), 'answer');
  t.strictSame(await tunnel.closed, { reason: 'ended', forwardBytes: 8, backwardBytes: 6 });
});

t.test('bytes that a stream held before the tunnel go first', async (t) => {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const left = await pair(server);
  const right = await pair(server);
  left.held.unshift(Buffer.from('early '));
  left.peer.end('late');
  const tunnel = openTunnel(new SystemHost(), left.held, right.held, { idleMs: Infinity });
  t.equal(String(await readAll(right.peer)), 'early late');
  right.peer.end();
  left.peer.resume();
  t.equal((await tunnel.closed).reason, 'ended');
});

t.test('a reader that stands still stops the writer, and loses nothing', async (t) => {
  const { tunnel, left, right, held } = await tunnelled(t);
  const bytes = Buffer.alloc(32 * 1024 * 1024, 'argyle');
  right.pause();
  left.end(bytes);
  // The kernel's buffers and one chunk fill; then nothing is read any more.
  let before = -1;
  while (before !== tunnel.forwardBytes || before === 0) {
    before = tunnel.forwardBytes;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  t.ok(tunnel.forwardBytes < bytes.length, 'the rest waits at the sender');
  const [leftHeld, rightHeld] = held;
  t.ok(leftHeld?.isPaused());
  t.ok((rightHeld?.writableLength ?? Infinity) <= 2 * (rightHeld?.writableHighWaterMark ?? 0));
  const received = await readAll(right);
  t.ok(received.equals(bytes));
  right.end();
  left.resume();
  t.equal((await tunnel.closed).forwardBytes, bytes.length);
});

t.test('a reset of one end is a reset of the other, never a clean end', async (t) => {
  const { tunnel, left, right } = await tunnelled(t);
  right.resume();
  const failed = once(right, 'error').catch((error: unknown) => [error]);
  left.resetAndDestroy();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  t.equal(error.code, 'ECONNRESET');
  t.equal((await tunnel.closed).reason, 'reset');
});

t.test('an aborted tunnel cuts both ends', async (t) => {
  const { tunnel, left, right } = await tunnelled(t);
  const closed = [left, right].map(
    (peer) => new Promise((resolve) => peer.resume().once('close', resolve)),
  );
  tunnel.abort();
  t.equal((await tunnel.closed).reason, 'aborted');
  await Promise.all(closed);
  tunnel.abort();
});

t.test('an idle tunnel is closed after its last byte, and leaves no timer', async (t) => {
  const manual = new ManualHost();
  const { tunnel, left, right } = await tunnelled(t, manual, 1_000);
  manual.advance(900);
  left.write('x');
  await once(right, 'data');
  manual.advance(900);
  t.equal(manual.armed, 1, 'the byte moved the bound');
  manual.advance(100);
  t.equal((await tunnel.closed).reason, 'idle');
  t.equal(manual.armed, 0);
});

t.test('an ended tunnel leaves no timer', async (t) => {
  const manual = new ManualHost();
  const { tunnel, left, right } = await tunnelled(t, manual, 1_000);
  for (const peer of [left, right]) peer.resume().end();
  t.equal((await tunnel.closed).reason, 'ended');
  t.equal(manual.armed, 0);
});

t.test('a stream that was gone before the tunnel opened closes the other', async (t) => {
  const gone = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  gone.destroy();
  await once(gone, 'close');
  const live = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const tunnel = openTunnel(new SystemHost(), gone, live, { idleMs: Infinity });
  t.equal((await tunnel.closed).reason, 'reset');
  t.ok(live.destroyed);
});

t.test('a tunnel that is cut while an end is being written closes all the same', async (t) => {
  const { tunnel, left, right, held } = await tunnelled(t);
  held[0]?.once('end', () => tunnel.abort());
  right.resume();
  left.end();
  t.equal((await tunnel.closed).reason, 'aborted');
});

t.test('what was still to be written when a tunnel is cut is missed, never an end', async (t) => {
  const { tunnel, left, right, held } = await tunnelled(t);
  right.pause();
  const failed = once(right, 'error').catch((error: unknown) => [error]);
  left.end(Buffer.alloc(32 * 1024 * 1024));
  while (!held[1]?.writableNeedDrain) await new Promise((resolve) => setImmediate(resolve));
  held[1].end();
  tunnel.abort();
  right.resume();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  t.equal(error.code, 'ECONNRESET');
  t.equal((await tunnel.closed).reason, 'aborted');
});
