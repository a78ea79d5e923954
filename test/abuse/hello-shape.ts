import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';

/** RFC 8446 §5.1, §4. */
const RECORD_HANDSHAKE = 0x16;
const RECORD_HEADER_BYTES = 5;
const MESSAGE_HEADER_BYTES = 4;
const MESSAGE_CLIENT_HELLO = 1;

export interface Extension {
  readonly type: number;
  readonly body: Buffer;
}

/** The fields of a ClientHello (RFC 8446 §4.1.2), to be put together again in wrong ways too. */
export interface HelloShape {
  readonly version: number;
  readonly random: Buffer;
  readonly sessionId: Buffer;
  readonly ciphers: Buffer;
  readonly compressions: Buffer;
  readonly extensions: readonly Extension[];
}

/** The first flight of a real client, as it came. */
export function hello(options: ConnectionOptions): Promise<Buffer> {
  return captured((port) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'argyle.cluster', ...options });
    socket.on('error', () => undefined);
    return () => socket.destroy();
  });
}

export function opensslHello(args: readonly string[]): Promise<Buffer> {
  return captured((port) => {
    const all = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'argyle.cluster'];
    const child = spawn('openssl', [...all, ...args], { stdio: 'ignore' });
    return () => child.kill('SIGKILL');
  });
}

/** A message in one record, or in records of at most that many bytes each. */
export function records(message: Uint8Array, bodyBytes = 16_384): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += bodyBytes) {
    const body = message.subarray(at, at + bodyBytes);
    parts.push(Buffer.of(RECORD_HANDSHAKE, 3, 1, body.length >> 8, body.length & 0xff));
    parts.push(Buffer.from(body));
  }
  return Buffer.concat(parts);
}

/** The handshake message in a flight of one record. */
export function messageOf(flight: Buffer): Buffer {
  return flight.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + flight.readUInt16BE(3));
}

export function shapeOf(flight: Buffer): HelloShape {
  const message = messageOf(flight);
  let at = MESSAGE_HEADER_BYTES;
  const take = (size: number) => message.subarray(at, (at += size));
  const counted = (lengthBytes: number) => take(take(lengthBytes).readUIntBE(0, lengthBytes));
  const version = take(2).readUInt16BE();
  const random = take(32);
  const [sessionId, ciphers, compressions] = [counted(1), counted(2), counted(1)];
  const extensions: Extension[] = [];
  const end = at + 2 + message.readUInt16BE(at);
  at += 2;
  while (at < end) extensions.push({ type: take(2).readUInt16BE(), body: counted(2) });
  return { version, random, sessionId, ciphers, compressions, extensions };
}

/** Lengths are right; those that do not fit their field are cut off. */
export function message(shape: HelloShape, type = MESSAGE_CLIENT_HELLO): Buffer {
  const extensions = shape.extensions.map(({ type, body }) =>
    Buffer.concat([number(type, 2), counted(body, 2)]),
  );
  const body = Buffer.concat([
    number(shape.version, 2),
    shape.random,
    counted(shape.sessionId, 1),
    counted(shape.ciphers, 2),
    counted(shape.compressions, 1),
    counted(Buffer.concat(extensions), 2),
  ]);
  return Buffer.concat([Buffer.of(type), counted(body, 3)]);
}

export function counted(bytes: Uint8Array, lengthBytes: number): Buffer {
  return Buffer.concat([number(bytes.length, lengthBytes), bytes]);
}

function number(value: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  bytes.writeUIntBE(value % 256 ** sizeBytes, 0, sizeBytes);
  return bytes;
}

/** Waits for one whole record. `start` answers what stops the client. */
async function captured(start: (port: number) => () => void): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = start((server.address() as AddressInfo).port);
  const [socket] = (await once(server, 'connection')) as [Socket];
  let bytes = Buffer.alloc(0);
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const whole = bytes.length > RECORD_HEADER_BYTES && bytes.readUInt16BE(3);
      if (whole && bytes.length >= RECORD_HEADER_BYTES + whole) resolve();
    });
  });
  stop();
  socket.destroy();
  server.close();
  return bytes;
}
