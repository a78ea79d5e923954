import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Host } from '@argyle/host';
import { ClientError } from './errors.ts';

/**
 * A TCP connection under TLS that keeps what Node's TLS would lose. Node shows the end of TCP as
 * the end of the TLS stream, with or without the close_notify that RFC 8446 §6.1 asks for, so a
 * download that was cut by a dying node would look complete. Here the end of TCP is not passed on;
 * `ended` lets the owner find out whether close_notify came before. In the other direction, a
 * stream that is destroyed before its end is reset, so that the node sees the break too.
 */
export class TcpStream extends Duplex {
  readonly #socket: Socket;
  #endedByPeer = false;

  /** The socket needs `allowHalfOpen`, and belongs to the stream from now on. */
  constructor(socket: Socket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) socket.pause();
    });
    socket.on('end', () => {
      this.#endedByPeer = true;
      this.emit('ended');
    });
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  /** The peer has sent its last byte, and all of them were read from here. */
  get drained(): boolean {
    return this.#endedByPeer && this.readableLength === 0;
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(bytes: Buffer, _encoding: string, written: (error?: Error | null) => void): void {
    this.#socket.write(bytes, written);
  }

  override _writev(chunks: { chunk: Buffer }[], written: (error?: Error | null) => void): void {
    this.#socket.cork();
    chunks.forEach(({ chunk }, index) => {
      if (index < chunks.length - 1) this.#socket.write(chunk);
      else this.#socket.write(chunk, written);
    });
    this.#socket.uncork();
  }

  override _final(ended: (error?: Error | null) => void): void {
    this.#socket.end(() => ended());
  }

  override _destroy(error: Error | null, destroyed: (error: Error | null) => void): void {
    // While a shutdown is under way libuv refuses to reset, and the socket would stay open.
    if (this.#socket.writableEnded) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
    destroyed(error);
  }
}

/**
 * Ends the TLS stream with an error when TCP ends and no close_notify came before. It looks only
 * after everything that arrived has been read, and after Node had its turn to emit `end`.
 */
export function requireCloseNotify(host: Host, tls: TLSSocket, stream: TcpStream): void {
  const truncated = () => stream.drained && tls.readableLength === 0 && !tls.readableEnded;
  const look = () => {
    if (!truncated() || tls.destroyed) return;
    host.after(0, () => {
      if (truncated()) tls.destroy(new ClientError('reset', 'connection cut without close_notify'));
    });
  };
  stream.once('ended', () => {
    stream.on('data', look);
    tls.on('data', look);
    look();
  });
}
