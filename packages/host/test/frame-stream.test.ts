import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import t from 'tap';
import { FRAME_BYTES_MAX, FrameStream } from '../src/frame-stream.ts';

function recorder() {
  const frames: string[] = [];
  const ends: boolean[] = [];
  const stream = new FrameStream({
    frame: (bytes) => frames.push(bytes.toString('latin1')),
    ended: (truncated) => ends.push(truncated),
  });
  return { stream, frames, ends };
}

/** What a stream says until its end. */
async function said(stream: FrameStream): Promise<Buffer> {
  stream.sendEnd();
  return Buffer.concat(await Readable.from(stream).toArray());
}

t.test('frames come out as they went in, however the stream cuts them', async (t) => {
  const frames = ['', 'a', 'x'.repeat(300), 'y'.repeat(FRAME_BYTES_MAX), 'end'];
  const sender = recorder().stream;
  for (const frame of frames) t.ok(sender.sendFrame(Buffer.from(frame, 'latin1')));
  const bytes = await said(sender);
  for (const cut of [1, 2, 3, 299, 4096, bytes.length]) {
    const receiver = recorder();
    const parts = [];
    for (let at = 0; at < bytes.length; at += cut) parts.push(bytes.subarray(at, at + cut));
    await pipeline(Readable.from(parts), receiver.stream);
    t.same(receiver.frames, frames, `cut every ${cut} bytes`);
    t.same(receiver.ends, [false]);
  }
});

t.test('an end in the middle of a frame is said to be one', async (t) => {
  const receiver = recorder();
  await pipeline(Readable.from([Buffer.of(0, 3, 1, 2)]), receiver.stream);
  t.same(receiver.frames, []);
  t.same(receiver.ends, [true]);
});

t.test('frames that nobody reads are dropped, never kept without bound', async (t) => {
  const { stream } = recorder();
  const frame = Buffer.alloc(1_000);
  let sent = 0;
  while (stream.sendFrame(frame)) sent += 1;
  t.ok(sent >= 250 && sent <= 300, `${sent} frames of 1 kB wait`);
  t.equal((await said(stream)).length, sent * 1_002, 'what was taken arrives');
});

t.test('after its end or its breaking nothing is sent', async (t) => {
  const ended = recorder().stream;
  ended.sendEnd();
  ended.sendEnd();
  t.notOk(ended.sendFrame(Buffer.of(1)));
  const broken = recorder().stream;
  broken.destroy();
  broken.sendEnd();
  t.notOk(broken.sendFrame(Buffer.of(1)));
});

t.test('a frame that has no length is a mistake of ours', async (t) => {
  t.throws(() => recorder().stream.sendFrame(Buffer.alloc(FRAME_BYTES_MAX + 1)), RangeError);
});
