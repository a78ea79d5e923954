import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import type { Pki } from './pki.ts';
import { SERVER_NAME } from './settings.ts';

/** The record that a real client begins with when it would resume `session`. */
export async function captureHello(
  pki: Pki,
  session?: Buffer,
  options: ConnectionOptions = {},
): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const given = session ? { session } : {};
  const client = connect({
    ...{ host: '127.0.0.1', port, servername: SERVER_NAME, ca: pki.ca },
    ...{ ...given, ...options },
  });
  client.on('error', () => undefined);
  const hello = await new Promise<Buffer>((resolve) => {
    server.once('connection', (socket) => {
      let bytes = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) return;
        socket.destroy();
        resolve(bytes);
      });
    });
  });
  client.destroy();
  server.close();
  return hello;
}

/** The same hello with an unknown identity before the one that it offers, and a binder for it. */
export function withIdentityAhead(record: Buffer): Buffer {
  const extensionsAt = extensionsOffset(record);
  const before = record.subarray(5 + 4, extensionsAt);
  const all = record.subarray(extensionsAt + 2);
  // RFC 8446 §4.2.11: it is the last extension.
  let at = 0;
  while (all.readUInt16BE(at) !== 41) at += 4 + all.readUInt16BE(at + 2);
  const body = all.subarray(at + 4);
  const identitiesEnd = 2 + body.readUInt16BE(0);
  const unknown = Buffer.concat([Buffer.of(0, 32), Buffer.alloc(32, 0xee), Buffer.alloc(4)]);
  const binder = Buffer.concat([Buffer.of(32), Buffer.alloc(32, 0xdd)]);
  const psk = Buffer.concat([
    vector(2, Buffer.concat([unknown, body.subarray(2, identitiesEnd)])),
    vector(2, Buffer.concat([binder, body.subarray(identitiesEnd + 2)])),
  ]);
  const extension = Buffer.concat([Buffer.of(0, 41), vector(2, psk)]);
  const extensions = vector(2, Buffer.concat([all.subarray(0, at), extension]));
  const message = Buffer.concat([Buffer.of(1), vector(3, Buffer.concat([before, extensions]))]);
  return Buffer.concat([Buffer.of(0x16, 3, 1), vector(2, message)]);
}

/** Where the extensions' length is. */
export function extensionsOffset(record: Buffer): number {
  let at = 5 + 4 + 2 + 32;
  at += 1 + (record[at] ?? 0);
  at += 2 + record.readUInt16BE(at);
  return at + 1 + (record[at] ?? 0);
}

export function vector(lengthBytes: number, body: Buffer): Buffer {
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(body.length, 0, lengthBytes);
  return Buffer.concat([length, body]);
}
