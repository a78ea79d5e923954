import t from 'tap';
import { CHUNK_HEADER_BYTES, ChunkReader, encodeDataHeader, encodeEnd } from '../src/chunks.ts';

const WORDS = ['a', 'tunnel', 'x'.repeat(70_000), 'of words'];
const STREAM = Buffer.concat([
  ...WORDS.flatMap((word) => [encodeDataHeader(word.length), Buffer.from(word)]),
  encodeEnd(),
  Buffer.from('rest'),
]);

t.test('payloads pass whole, however they are cut', (t) => {
  for (const size of [1, 2, 3, 5, 1_000, STREAM.length]) {
    const reader = new ChunkReader();
    const parts: Buffer[] = [];
    let rest: Buffer = Buffer.alloc(0);
    let ended = false;
    for (let at = 0; at < STREAM.length; at += size) {
      const bytes = STREAM.subarray(at, at + size);
      if (ended) rest = Buffer.concat([rest, bytes]);
      else {
        const progress = reader.read(bytes, (part) => parts.push(part));
        ended = progress.kind === 'ended';
        if (progress.kind === 'ended') rest = progress.rest;
      }
    }
    t.equal(String(Buffer.concat(parts)), WORDS.join(''), `in pieces of ${size}`);
    t.equal(String(rest), 'rest');
  }
  t.end();
});

t.test('what is no chunk is malformed', (t) => {
  for (const bytes of [
    [2, 0, 0, 1],
    [255, 0, 0, 0],
    [0, 0, 0, 0],
    [1, 0, 0, 1],
  ]) {
    const read = new ChunkReader().read(Buffer.from(bytes), () => t.fail('there is no payload'));
    t.strictSame(read, { kind: 'malformed' });
  }
  t.end();
});

t.test('a header says 24 bits of length', (t) => {
  t.equal(encodeDataHeader(0xffffff).readUInt32BE(), 0xffffff);
  t.equal(encodeDataHeader(1).length, CHUNK_HEADER_BYTES);
  t.end();
});
