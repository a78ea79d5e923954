import type { Duplex } from 'node:stream';
import type { ReadBuffer } from './read-buffer.ts';

/**
 * Smaller parts that have to wait are copied together: a peer may send them one by one, and each
 * would hold the memory of a whole read.
 */
const COPY_BYTES_MAX = 4 * 1024;
/** Of what is copied together. */
const COPIES_BYTES = 16 * 1024;

interface Part {
  readonly bytes: Buffer;
  /** Of `bytes`; the rest of a copy is room for the next. */
  used: number;
  readonly memory: ReadBuffer | undefined;
}

/** What has come for a socket, in order: it waits until there is one, and while that is slow. */
export class Inlet {
  readonly #written: (bytes: number) => void;
  #socket: Duplex | undefined;
  #parts: Part[] = [];

  /** `written`: so many bytes more wait no longer. */
  constructor(written: (bytes: number) => void) {
    this.#written = written;
  }

  get empty(): boolean {
    return this.#parts.length === 0 && (this.#socket?.writableLength ?? 0) === 0;
  }

  attach(socket: Duplex): void {
    this.#socket = socket;
    this.#flush();
  }

  /** A view of what was read. */
  push(bytes: Buffer, memory: ReadBuffer): void {
    if (this.#socket && this.empty) this.#write(this.#socket, bytes, memory.use());
    else if (bytes.length > COPY_BYTES_MAX) {
      memory.use();
      this.#parts.push({ bytes, used: bytes.length, memory });
    } else this.#copy(bytes);
  }

  /** After what has come. */
  end(): void {
    this.#flush();
    this.#socket?.end();
  }

  #copy(bytes: Buffer): void {
    const last = this.#parts.at(-1);
    if (last && !last.memory && last.used + bytes.length <= COPIES_BYTES) {
      bytes.copy(last.bytes, last.used);
      last.used += bytes.length;
      return;
    }
    const copy = Buffer.allocUnsafeSlow(COPIES_BYTES);
    bytes.copy(copy);
    this.#parts.push({ bytes: copy, used: bytes.length, memory: undefined });
  }

  #flush(): void {
    const socket = this.#socket;
    if (!socket || this.#parts.length === 0) return;
    socket.cork();
    for (const { bytes, used, memory } of this.#parts.splice(0)) {
      this.#write(socket, bytes.subarray(0, used), memory?.done);
    }
    socket.uncork();
  }

  #write(socket: Duplex, bytes: Buffer, done: (() => void) | undefined): void {
    const { length } = bytes;
    socket.write(bytes, () => {
      done?.();
      this.#written(length);
      if (socket.writableLength === 0) this.#flush();
    });
  }
}
