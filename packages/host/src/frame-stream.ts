import { Duplex } from 'node:stream';

export interface FrameHandlers {
  /** A view of what was read: to be copied if it is kept. */
  frame(bytes: Buffer): void;
  /** The peer says nothing more. `truncated`: in the middle of a frame. */
  ended(truncated: boolean): void;
}

/** A frame's length. */
const HEADER_BYTES = 2;
export const FRAME_BYTES_MAX = 2 ** 16 - 1;
/** Frames carry datagrams: when so much waits already, a new one is dropped rather than late. */
const WAITING_BYTES_MAX = 256 * 1024;

/**
 * One end of a stream of frames, to be joined to a tunnel. Big-endian:
 *
 * ```
 * +----------------+------------------
 * | length (16)    | so many bytes
 * +----------------+------------------
 * ```
 * `sendEnd` says that nothing more is sent, `destroy` breaks it off; `close` follows as in any
 * stream.
 */
export class FrameStream extends Duplex {
  readonly #handlers: FrameHandlers;
  /** What has come of a frame, and how much of it there has to be. */
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #wantedBytes = HEADER_BYTES;
  #endSent = false;

  constructor(handlers: FrameHandlers) {
    super({ allowHalfOpen: true });
    this.#handlers = handlers;
  }

  /** Copies it. False if it was dropped, because too much waits to be read. */
  sendFrame(frame: Uint8Array): boolean {
    if (frame.length > FRAME_BYTES_MAX) throw new RangeError(`a frame of ${frame.length} bytes`);
    if (this.destroyed || this.#endSent || this.readableLength > WAITING_BYTES_MAX) return false;
    const bytes = Buffer.allocUnsafe(HEADER_BYTES + frame.length);
    bytes.writeUInt16BE(frame.length);
    bytes.set(frame, HEADER_BYTES);
    this.push(bytes);
    return true;
  }

  /** Nothing more is sent; what the peer says is still read. */
  sendEnd(): void {
    if (this.destroyed || this.#endSent) return;
    this.#endSent = true;
    this.push(null);
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= this.#wantedBytes) this.#take();
    else this.#keep(bytes);
    done();
  }

  override _final(done: () => void): void {
    this.#handlers.ended(this.#gatheredBytes > 0);
    done();
  }

  #take(): void {
    let rest = Buffer.concat(this.#gathered);
    this.#wantedBytes = HEADER_BYTES;
    while (rest.length >= this.#wantedBytes) {
      this.#wantedBytes = HEADER_BYTES + rest.readUInt16BE();
      if (rest.length < this.#wantedBytes) break;
      this.#handlers.frame(rest.subarray(HEADER_BYTES, this.#wantedBytes));
      rest = rest.subarray(this.#wantedBytes);
      this.#wantedBytes = HEADER_BYTES;
    }
    this.#gathered = [];
    this.#gatheredBytes = rest.length;
    if (rest.length > 0) this.#gathered.push(Buffer.from(rest));
  }

  /** The memory of a read is the reader's again. */
  #keep(bytes: Buffer): void {
    this.#gathered.splice(-1, 1, Buffer.from(bytes));
  }
}
