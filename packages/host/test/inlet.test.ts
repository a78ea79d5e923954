import { PassThrough, Writable, Duplex } from 'node:stream';
import t from 'tap';
import { Inlet } from '../src/inlet.ts';
import { ReadBuffer } from '../src/read-buffer.ts';

/** A socket that takes a part when it is told to. */
class Slow extends Duplex {
  readonly taken: Buffer[] = [];
  writes = 0;
  #done: (() => void) | undefined;

  override _read(): void {
    // It says nothing.
  }

  override _write(bytes: Buffer, _encoding: unknown, done: () => void): void {
    this.#take([bytes], done);
  }

  override _writev(parts: { chunk: Buffer }[], done: () => void): void {
    this.#take(
      parts.map(({ chunk }) => chunk),
      done,
    );
  }

  async go(): Promise<void> {
    const done = this.#done;
    this.#done = undefined;
    done?.();
    await new Promise(setImmediate);
  }

  #take(parts: readonly Buffer[], done: () => void): void {
    this.writes += 1;
    this.taken.push(...parts.map((part) => Buffer.from(part)));
    this.#done = done;
  }
}

function memory(): ReadBuffer {
  return new ReadBuffer(new PassThrough(), Buffer.alloc(0));
}

t.test('bytes come in their order, however they waited', async (t) => {
  const words = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, at) => (at * 7) ^ (at >> 8)));
  let written = 0;
  const inlet = new Inlet((bytes) => (written += bytes));
  const slow = new Slow();
  let at = 0;
  const push = (size: number) => {
    inlet.push(words.subarray(at, at + size), memory());
    at += size;
  };
  for (const size of [1, 20_000, 1, 1]) push(size);
  t.notOk(inlet.empty, 'it waits for a socket');
  inlet.attach(slow);
  for (const size of [1, 9_000, 9_000, 17_000, 1, 60_000]) push(size);
  await slow.go();
  push(words.length - at);
  inlet.end();
  while (!slow.writableFinished) await slow.go();
  t.ok(Buffer.concat(slow.taken).equals(words));
  t.equal(written, words.length);
  t.ok(inlet.empty);
});

t.test('a part goes straight through when nothing waits', (t) => {
  const taken: Buffer[] = [];
  const writable = new Writable({
    write: (bytes: Buffer, _encoding, done) => {
      taken.push(bytes);
      done();
    },
  });
  const inlet = new Inlet(() => undefined);
  inlet.attach(Object.assign(writable, {}) as unknown as Duplex);
  const part = Buffer.from('argyle');
  inlet.push(part, memory());
  t.equal(taken[0]?.buffer, part.buffer);
  t.end();
});

t.test('parts of one byte that wait cost little beside themselves', async (t) => {
  const inlet = new Inlet(() => undefined);
  const slow = new Slow();
  inlet.attach(slow);
  inlet.push(Buffer.from('x'), memory());
  const before = process.memoryUsage().arrayBuffers;
  for (let pushed = 0; pushed < 60_000; pushed += 1) {
    // Each is a view of a read of its own, as large as reads are.
    const read = Buffer.allocUnsafeSlow(2_048);
    inlet.push(read.subarray(0, 1), memory());
  }
  await slow.go();
  t.equal(slow.writes, 2);
  t.equal(Buffer.concat(slow.taken).length, 60_001);
  t.equal(slow.taken.length, 1 + Math.ceil(60_000 / (16 * 1024)));
  t.ok(before >= 0);
});
