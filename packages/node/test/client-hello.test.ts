import t from 'tap';
import { ClientHelloReader, type HelloProgress } from '../src/client-hello.ts';
import { captureHello, extensionsOffset, vector, withIdentityAhead } from './hello-fixture.ts';
import { Pki } from './pki.ts';
import { SERVER_NAME } from './settings.ts';

const pki = new Pki();

const real = await captureHello(pki, undefined, { ALPNProtocols: ['argyle/1', 'h2'] });
const old = await captureHello(pki, undefined, { maxVersion: 'TLSv1.2', servername: '' });

function read(bytes: Uint8Array): HelloProgress {
  return new ClientHelloReader().push(bytes);
}

/** Fed in pieces of that size; the last answer, and that every one before was incomplete. */
function readInPieces(bytes: Uint8Array, size: number) {
  const reader = new ClientHelloReader();
  let early = 0;
  for (let at = 0; at < bytes.length; at += size) {
    const progress = reader.push(bytes.subarray(at, at + size));
    if (progress.kind !== 'incomplete') return { progress, left: bytes.length - at - size, early };
    early += 1;
  }
  return { progress: { kind: 'incomplete' } as HelloProgress, left: 0, early };
}

/** The same message in records of that many bytes. */
function inRecords(record: Buffer, size: number): Buffer {
  const message = record.subarray(5);
  const records = [];
  for (let at = 0; at < message.length; at += size) {
    records.push(Buffer.of(0x16, 3, 1), vector(2, message.subarray(at, at + size)));
  }
  return Buffer.concat(records);
}

/** The record with its extensions replaced. */
function withExtensions(record: Buffer, extensions: Buffer): Buffer {
  const head = record.subarray(9, extensionsOffset(record));
  const body = Buffer.concat([head, vector(2, extensions)]);
  return Buffer.concat([
    Buffer.of(0x16, 3, 1),
    vector(2, Buffer.concat([Buffer.of(1), vector(3, body)])),
  ]);
}

function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type >> 8, type & 0xff), vector(2, body)]);
}

t.test('a real TLS 1.3 hello says all that a node has to know', (t) => {
  const progress = read(real);
  t.match(progress, {
    kind: 'hello',
    hello: {
      serverName: SERVER_NAME,
      offersPsk: false,
      identity: undefined,
      extendedMasterSecret: true,
      alpn: ['argyle/1', 'h2'],
      supportsTls13: true,
    },
  });
  if (progress.kind === 'hello') {
    t.equal(progress.hello.sessionId.length, 32);
    t.ok(real.equals(progress.bytes), 'and the library reads what the client sent');
  }
  t.end();
});

t.test('a real TLS 1.2 hello without a name', (t) => {
  t.match(read(old), {
    kind: 'hello',
    hello: { serverName: undefined, supportsTls13: false, extendedMasterSecret: true, alpn: [] },
  });
  t.end();
});

t.test('it may come byte by byte, in pieces, and in many records', (t) => {
  const whole = read(real);
  for (const size of [1, 2, 3, 5, 7, 100, 1_000]) {
    const { progress, left } = readInPieces(real, size);
    t.strictSame(progress, whole, `pieces of ${size}`);
    t.ok(left <= 0, 'not before its last byte');
  }
  for (const size of [16, 100, 500]) {
    const { progress } = readInPieces(inRecords(real, size), 1);
    t.strictSame(progress, whole, `records of ${size}, framed as one for the library`);
  }
  t.end();
});

t.test('every truncation is incomplete, never an error', (t) => {
  const wrong = [];
  for (let size = 0; size < real.length; size += 1) {
    if (read(real.subarray(0, size)).kind !== 'incomplete') wrong.push(size);
  }
  t.strictSame(wrong, []);
  t.end();
});

t.test('every shortened body is refused or read, and never throws', (t) => {
  const body = real.subarray(9);
  const kinds = new Set<string>();
  for (let size = 0; size < body.length; size += 1) {
    const message = Buffer.concat([Buffer.of(1), vector(3, body.subarray(0, size))]);
    kinds.add(read(Buffer.concat([Buffer.of(0x16, 3, 1), vector(2, message)])).kind);
  }
  // A hello may end before its extensions (RFC 5246 §7.4.1.2), and nowhere else.
  t.strictSame(kinds, new Set(['refused', 'hello']));
  t.end();
});

t.test('every single flipped byte ends in an answer', (t) => {
  for (let at = 0; at < real.length; at += 1) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const bytes = Buffer.from(real);
      bytes[at] = (bytes[at] ?? 0) ^ flip;
      read(bytes);
    }
  }
  t.pass('none threw');
  t.end();
});

t.test('what follows a hello is kept for the library', (t) => {
  const early = Buffer.from([0x14, 3, 3, 0, 1, 1]);
  const progress = read(Buffer.concat([real, early]));
  t.equal(progress.kind, 'hello');
  if (progress.kind === 'hello') t.ok(Buffer.concat([real, early]).equals(progress.bytes));
  t.end();
});

t.test('the identity to answer for is the first of a session id’s length', (t) => {
  const identity = (size: number, fill: number) =>
    Buffer.concat([vector(2, Buffer.alloc(size, fill)), Buffer.alloc(4)]);
  const psk = (...identities: Buffer[]) =>
    extension(
      41,
      Buffer.concat([vector(2, Buffer.concat(identities)), vector(2, Buffer.alloc(33))]),
    );
  const found = (...identities: Buffer[]) => {
    const progress = read(withExtensions(real, psk(...identities)));
    return progress.kind === 'hello' ? progress.hello : undefined;
  };
  t.strictSame(found(identity(32, 1), identity(32, 2))?.identity, Buffer.alloc(32, 1));
  t.strictSame(found(identity(200, 9), identity(32, 2))?.identity, Buffer.alloc(32, 2));
  t.match(found(identity(200, 9)), { offersPsk: true, identity: undefined });
  t.end();
});

t.test('a real client’s session goes first only when nothing is before it', async (t) => {
  const bytes = withIdentityAhead(withPsk());
  const progress = read(bytes);
  t.equal(progress.kind, 'hello');
  if (progress.kind === 'hello') t.strictSame(progress.hello.identity, Buffer.alloc(32, 0xee));

  function withPsk(): Buffer {
    const own = Buffer.concat([vector(2, Buffer.alloc(32, 0x11)), Buffer.alloc(4)]);
    const body = Buffer.concat([vector(2, own), vector(2, vector(1, Buffer.alloc(32)))]);
    return withExtensions(real, extension(41, body));
  }
});

t.test('what is no hello is refused by its first wrong byte', (t) => {
  const reasons: [string, number[] | Buffer][] = [
    ['not-tls', [0x05]],
    ['not-tls', Buffer.from('GET / HTTP/1.1')],
    ['not-tls', [0x16, 2]],
    ['malformed', [0x16, 3, 1, 0, 0]],
    ['malformed', [0x16, 3, 1, 0x40, 1]],
    ['not-hello', [0x16, 3, 1, 0, 4, 2]],
    ['too-long', [0x16, 3, 1, 0, 100, 1, 0, 0x40, 0]],
    ['malformed', [0x16, 3, 1, 0, 5, 1, 0, 0, 0, 0]],
  ];
  for (const [reason, bytes] of reasons) {
    t.strictSame(read(Buffer.from(bytes)), { kind: 'refused', reason });
    t.strictSame(readInPieces(Buffer.from(bytes), 1).progress, { kind: 'refused', reason });
  }
  t.end();
});

t.test('two extensions of one type, and lists that overrun, are refused', (t) => {
  const alpn = extension(16, vector(2, vector(1, Buffer.from('argyle/1'))));
  const refused = { kind: 'refused', reason: 'malformed' };
  t.strictSame(read(withExtensions(real, Buffer.concat([alpn, alpn]))), refused);
  for (const type of [0, 16, 41, 43]) {
    t.strictSame(read(withExtensions(real, extension(type, Buffer.of(0xff, 0xff, 0)))), refused);
  }
  t.end();
});

t.test('a hello in tiny records costs a bounded number of bytes', (t) => {
  const padding = extension(21, Buffer.alloc(12_000));
  const large = withExtensions(real, padding);
  t.equal(read(large).kind, 'hello');
  t.strictSame(readInPieces(inRecords(large, 1), 1_000).progress, {
    kind: 'refused',
    reason: 'too-long',
  });
  t.end();
});
