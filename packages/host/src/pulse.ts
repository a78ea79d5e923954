import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Cancel, Host } from './host.ts';

const NOTHING = new Uint8Array();

/**
 * Finds connections that were reset while nobody read from them: after their end, or under
 * back-pressure. The system tells of a reset to whoever reads or writes; so now and then nothing is
 * written, of which no byte goes out, and the socket fails if it was reset.
 */
export class Pulse {
  readonly #host: Host;
  readonly #everyMs: number;
  readonly #watched = new Map<Socket, Duplex>();
  /** Those whose last beat waits behind other bytes: for them the system tells by itself. */
  readonly #waiting = new WeakSet<Socket>();
  #cancel: Cancel | undefined;

  constructor(host: Host, options: { everyMs: number }) {
    this.#host = host;
    this.#everyMs = options.everyMs;
  }

  /**
   * Until it closes. `stream`: what is spoken over it, from now on; after its end nothing can be
   * written.
   */
  watch(socket: Socket, stream: Duplex = socket): void {
    if (socket.closed) return;
    if (!this.#watched.has(socket)) socket.once('close', () => this.#forget(socket));
    this.#watched.set(socket, stream);
    this.#cancel ??= this.#host.after(this.#everyMs, () => this.#beat());
  }

  #beat(): void {
    this.#cancel = this.#host.after(this.#everyMs, () => this.#beat());
    for (const [socket, stream] of this.#watched) {
      if (socket.destroyed || stream.writableEnded || this.#waiting.has(socket)) continue;
      this.#waiting.add(socket);
      socket.write(NOTHING, () => this.#waiting.delete(socket));
    }
  }

  #forget(socket: Socket): void {
    this.#watched.delete(socket);
    if (this.#watched.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
