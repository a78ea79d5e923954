const EMPTY = Buffer.alloc(0);

/** Reads big-endian fields; what goes beyond the end is empty and leaves it `broken`. */
export class Cursor {
  broken = false;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(sizeBytes: number): Buffer {
    if (sizeBytes > this.left) {
      this.broken = true;
      this.#at = this.#bytes.length;
      return EMPTY;
    }
    this.#at += sizeBytes;
    return this.#bytes.subarray(this.#at - sizeBytes, this.#at);
  }

  uint(sizeBytes: number): number {
    const bytes = this.take(sizeBytes);
    return bytes.length === 0 ? 0 : bytes.readUIntBE(0, sizeBytes);
  }

  /** Milliseconds, as eight bytes; every time that is meant fits a double. */
  time(): number {
    const bytes = this.take(8);
    return bytes.length === 0 ? 0 : Number(bytes.readBigUInt64BE());
  }

  /** A field that is preceded by its length. */
  vector(lengthBytes: number): Buffer {
    return this.take(this.uint(lengthBytes));
  }

  /** The same, its length included. */
  vectorWithLength(lengthBytes: number): Buffer {
    const start = this.#at;
    this.vector(lengthBytes);
    return this.#bytes.subarray(start, this.#at);
  }
}
