import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/**
 * Destroys a stream such that its peer sees that something is missing: over TCP by a reset. TLS has
 * none; there the missing close_notify says it. While a shutdown is under way libuv refuses to
 * reset, and Node then leaves the socket open for ever; it begins when all is written, so nothing
 * is missing then.
 */
export function reset(stream: Duplex): void {
  if (stream.destroyed) return;
  const ending = stream.writableEnded && !stream.writableFinished && stream.writableLength === 0;
  const resettable = stream instanceof Socket && !(stream instanceof TLSSocket) && !ending;
  if (resettable) stream.resetAndDestroy();
  else stream.destroy();
}
