import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Less is not worth the call. */
const BYTES_MIN = 8 * 1024;

/**
 * Bytes that a socket has read, and the memory that they lie in. Node takes new memory for every
 * read, and V8 marks its whole heap again and again to find out what of it is in use: that was a
 * third of the processor time of a gigabyte. So it is given back when the last part was written.
 */
export class ReadBuffer {
  readonly #bytes: Buffer | undefined;
  #uses = 1;

  /**
   * What the stream has just emitted, to this reader alone. One use is the maker's: it calls `done`
   * when no other begins any more.
   */
  constructor(stream: Duplex, bytes: Buffer) {
    // What other streams emit may be somebody else's.
    this.#bytes = stream instanceof Socket ? bytes : undefined;
  }

  /** A part is being written; `done` is called when it was. */
  use(): () => void {
    this.#uses += 1;
    return this.done;
  }

  readonly done = (): void => {
    this.#uses -= 1;
    if (this.#uses === 0 && this.#bytes) giveBack(this.#bytes);
  };
}

/** Nobody may look at the bytes afterwards. Memory that is shared with others stays. */
function giveBack({ buffer, byteOffset, byteLength }: Buffer): void {
  const whole = byteOffset === 0 && byteLength === buffer.byteLength;
  if (whole && byteLength >= BYTES_MIN && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
