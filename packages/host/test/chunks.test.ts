import t from 'tap';
import {
  CHUNK_HEADER_BYTES,
  ChunkKind,
  ChunkReader,
  DATA_BYTES_MAX,
  encodeHeader,
  MESSAGE_BYTES_MAX,
  TUNNEL_MAX,
  type ChunkHandlers,
  type ChunkKindName,
} from '../src/chunks.ts';

type Chunk = readonly [ChunkKindName, number, string];

const CHUNKS: readonly Chunk[] = [
  ['request', 1, 'q'],
  ['data', 1, 'a tunnel'],
  ['request', TUNNEL_MAX, 'q'.repeat(MESSAGE_BYTES_MAX)],
  ['reply', 1, 'a reply'],
  ['credit', 1, '\0\0\x40\0'],
  ['data', 0x01_02_03, 'x'.repeat(5_000)],
  ['credit', TUNNEL_MAX, '\x7f\0\0\0'],
  ['end', 1, ''],
  ['blocked', 2, ''],
  ['reset', TUNNEL_MAX, ''],
  ['reply', 2, 'r'.repeat(MESSAGE_BYTES_MAX)],
];

function encode([kind, tunnel, payload]: Chunk): Buffer {
  return Buffer.concat([encodeHeader(kind, tunnel, payload.length), Buffer.from(payload)]);
}

/** What it is told, with the parts of a payload put together. */
class Transcript implements ChunkHandlers {
  readonly chunks: Chunk[] = [];

  data(tunnel: number, part: Buffer): void {
    const last = this.chunks.at(-1);
    if (last?.[0] === 'data' && last[1] === tunnel) {
      this.chunks[this.chunks.length - 1] = ['data', tunnel, last[2] + String(part)];
    } else this.chunks.push(['data', tunnel, String(part)]);
  }

  control(kind: Exclude<ChunkKindName, 'data'>, tunnel: number, payload: Buffer): void {
    this.chunks.push([kind, tunnel, String(payload)]);
  }
}

function header(kind: number, tunnel: number, length: number): Buffer {
  const bytes = Buffer.alloc(CHUNK_HEADER_BYTES);
  bytes.writeUInt8(kind);
  bytes.writeUIntBE(tunnel, 1, 3);
  bytes.writeUInt32BE(length, 4);
  return bytes;
}

t.test('chunks are the same however they are cut', (t) => {
  const stream = Buffer.concat(CHUNKS.map(encode));
  for (const size of [1, 2, 3, 5, 7, 8, 9, 100, 1_000, stream.length]) {
    const reader = new ChunkReader();
    const transcript = new Transcript();
    let understood = true;
    for (let at = 0; at < stream.length; at += size) {
      understood &&= reader.read(stream.subarray(at, at + size), transcript);
    }
    t.ok(understood);
    t.strictSame(transcript.chunks, CHUNKS, `in pieces of ${size}`);
  }
  t.end();
});

t.test('a stream of chunks may be cut once, anywhere', (t) => {
  const stream = Buffer.concat(CHUNKS.slice(0, 5).map(encode));
  for (let cut = 0; cut <= stream.length; cut += 1) {
    const reader = new ChunkReader();
    const transcript = new Transcript();
    reader.read(stream.subarray(0, cut), transcript);
    reader.read(stream.subarray(cut), transcript);
    t.strictSame(transcript.chunks, CHUNKS.slice(0, 5), `after ${cut}`);
  }
  t.end();
});

t.test('DATA is passed on as views, a request is not', (t) => {
  const bytes = Buffer.concat([encode(['data', 1, 'words']), encode(['request', 2, 'words'])]);
  new ChunkReader().read(bytes, {
    data: (_tunnel, part) => t.equal(part.buffer, bytes.buffer),
    control: (_kind, _tunnel, payload) => {
      bytes.fill(0);
      t.equal(String(payload), 'words');
    },
  });
  t.end();
});

t.test('a header that makes no sense is refused as soon as it is whole', (t) => {
  const { data, end, reset, credit, request, reply, blocked } = ChunkKind;
  const wrong = [
    header(blocked + 1, 1, 0),
    header(255, 1, 1),
    header(data, 0, 1),
    header(end, 0, 0),
    header(request, 0, 10),
    header(data, 1, 0),
    header(data, 1, DATA_BYTES_MAX + 1),
    header(data, 1, 2 ** 32 - 1),
    ...[end, reset, blocked].flatMap((kind) => [header(kind, 1, 1), header(kind, 1, 2 ** 32 - 1)]),
    ...[0, 3, 5].map((length) => header(credit, 1, length)),
    ...[request, reply].flatMap((kind) => [
      header(kind, 1, 0),
      header(kind, 1, MESSAGE_BYTES_MAX + 1),
    ]),
    Buffer.from('GET / HT'),
  ];
  for (const bytes of wrong) {
    const whole = new Transcript();
    const after = Buffer.concat([bytes, encode(['end', 1, ''])]);
    t.notOk(new ChunkReader().read(after, whole), bytes.toString('hex'));
    t.strictSame(whole.chunks, [], 'nothing after it is a chunk');
    const reader = new ChunkReader();
    const verdicts = [...bytes].map((byte) => reader.read(Buffer.of(byte), whole));
    t.strictSame(verdicts, [...Array(CHUNK_HEADER_BYTES - 1).fill(true), false]);
  }
  t.end();
});

t.test('what came before a header that makes no sense was told', (t) => {
  const transcript = new Transcript();
  const bytes = Buffer.concat([encode(['data', 1, 'words']), header(9, 1, 0)]);
  t.notOk(new ChunkReader().read(bytes, transcript));
  t.strictSame(transcript.chunks, [['data', 1, 'words']]);
  t.end();
});

t.test('the longest DATA is as long as it may be, and tunnels have 24 bits', (t) => {
  const payload = Buffer.alloc(DATA_BYTES_MAX, 'argyle');
  const bytes = Buffer.concat([encodeHeader('data', TUNNEL_MAX, payload.length), payload]);
  const parts: Buffer[] = [];
  const read = new ChunkReader().read(bytes, {
    data: (tunnel, part) => {
      t.equal(tunnel, TUNNEL_MAX);
      parts.push(part);
    },
    control: () => t.fail('there is nothing but DATA'),
  });
  t.ok(read);
  t.ok(Buffer.concat(parts).equals(payload));
  t.strictSame([...encodeHeader('reply', 0x01_02_03, 0x0a)], [5, 1, 2, 3, 0, 0, 0, 10]);
  t.end();
});
