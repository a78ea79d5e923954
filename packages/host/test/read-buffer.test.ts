import { once } from 'node:events';
import { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { ReadBuffer } from '../src/read-buffer.ts';
import { Loopback } from './loopback.ts';

const BYTES_MIN = 8 * 1024;

/** As a socket emits it: memory of its own. */
function memory(bytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(bytes));
}

/** What nearly fills its memory is emitted as a part of it. */
function isWhole({ buffer, length }: Buffer): boolean {
  return length >= BYTES_MIN && length === buffer.byteLength;
}

t.test('memory is given back when the last part is written, whatever the order', (t) => {
  const bytes = memory(BYTES_MIN);
  const buffer = new ReadBuffer(new Socket(), bytes);
  const written = [buffer.use(), buffer.use()];
  buffer.done();
  t.equal(bytes.buffer.byteLength, BYTES_MIN);
  written[1]?.();
  t.equal(bytes.buffer.byteLength, BYTES_MIN, 'one part is still being written');
  written[0]?.();
  t.equal(bytes.buffer.byteLength, 0);
  t.equal(bytes.length, 0);
  t.end();
});

t.test('parts that were written at once leave it until no other begins', (t) => {
  const bytes = memory(BYTES_MIN);
  const buffer = new ReadBuffer(new Socket(), bytes);
  buffer.use()();
  buffer.use()();
  t.equal(bytes.length, BYTES_MIN);
  buffer.done();
  t.equal(bytes.length, 0);
  t.end();
});

t.test('memory that is small, shared or of another stream stays', (t) => {
  const shared = memory(3 * BYTES_MIN);
  const stays: readonly [string, Socket | PassThrough, Buffer][] = [
    ['too small', new Socket(), memory(BYTES_MIN - 1)],
    ['the front of more', new Socket(), shared.subarray(0, BYTES_MIN)],
    ['the back of more', new Socket(), shared.subarray(BYTES_MIN)],
    ['of the pool', new Socket(), Buffer.allocUnsafe(16)],
    ['of the pool, if it were larger', new Socket(), Buffer.from('x'.repeat(4_000))],
    ['of another thread', new Socket(), Buffer.from(new SharedArrayBuffer(BYTES_MIN))],
    ['of another stream', new PassThrough(), memory(BYTES_MIN)],
  ];
  for (const [title, stream, bytes] of stays) {
    const { length } = bytes;
    const { byteLength } = bytes.buffer;
    const buffer = new ReadBuffer(stream, bytes);
    const written = buffer.use();
    buffer.done();
    written();
    t.strictSame([bytes.length, bytes.buffer.byteLength], [length, byteLength], title);
  }
  t.end();
});

t.test('what a socket has read is given back once another has written it, whole', async (t) => {
  const loopback = await Loopback.open(t);
  const [sender, source] = await loopback.pair();
  const [sink, receiver] = await loopback.pair();
  const words = Buffer.alloc(4 * 1024 * 1024, 'argyle');
  const read: Buffer[] = [];
  const heard: Buffer[] = [];
  source.on('data', (bytes: Buffer) => {
    if (isWhole(bytes)) read.push(bytes);
    sink.write(bytes, new ReadBuffer(source, bytes).done);
  });
  source.once('end', () => sink.end());
  source.resume();
  receiver.on('data', (bytes: Buffer) => heard.push(bytes)).resume();
  sender.end(words);
  await once(receiver, 'end');
  t.ok(Buffer.concat(heard).equals(words));
  t.ok(read.length > 0);
  const kept = read.filter(({ buffer }) => buffer.byteLength > 0);
  t.equal(kept.length, 0);
});

t.test('what was never written, because the socket was cut, is given back as well', async (t) => {
  const loopback = await Loopback.open(t);
  const [sender, source] = await loopback.pair();
  const [sink] = await loopback.pair();
  let left = 0;
  const { promise: settled, resolve } = Promise.withResolvers<void>();
  const read: Buffer[] = [];
  // The other end does not read: most of it waits.
  source.on('data', (bytes: Buffer) => {
    if (isWhole(bytes)) read.push(bytes);
    left += 1;
    const { done } = new ReadBuffer(source, bytes);
    sink.write(bytes, () => {
      done();
      left -= 1;
      if (left === 0 && sink.destroyed) resolve();
    });
    if (sink.writableLength > 4 * 1024 * 1024) sink.resetAndDestroy();
  });
  source.resume();
  sender.write(Buffer.alloc(64 * 1024 * 1024));
  await once(sink, 'close');
  source.destroy();
  await settled;
  const kept = read.filter(({ buffer }) => buffer.byteLength > 0);
  t.equal(kept.length, 0);
});
