/** Buffers are as large as a power of two, from this on. */
const SMALLEST_BITS = 11;

/**
 * Copies into buffers that are used again. What is kept for a while and then freed outlives the
 * collector's young generation, and as fast as a stream comes that costs a collection of all memory
 * several times a second.
 */
export class SpareBuffers {
  readonly #spare = new Map<number, ArrayBuffer[]>();
  #bytes = 0;
  #copied = false;

  copy(bytes: Uint8Array): Uint8Array {
    this.#copied = true;
    const bits = Math.max(SMALLEST_BITS, 32 - Math.clz32(bytes.length - 1));
    const spare = this.#spare.get(bits)?.pop();
    if (spare) this.#bytes -= spare.byteLength;
    const buffer = spare ?? new ArrayBuffer(2 ** bits);
    const copy = new Uint8Array(buffer, 0, bytes.length);
    copy.set(bytes);
    return copy;
  }

  /**
   * What `copy` answered, and nobody looks at any more. `most`: bytes that are held in reserve at
   * most.
   */
  giveBack({ buffer }: Uint8Array, most: number): void {
    if (!(buffer instanceof ArrayBuffer) || this.#bytes + buffer.byteLength > most) return;
    this.#bytes += buffer.byteLength;
    const bits = 31 - Math.clz32(buffer.byteLength);
    const spare = this.#spare.get(bits);
    if (spare) spare.push(buffer);
    else this.#spare.set(bits, [buffer]);
  }

  /** Called now and then: if nothing was copied meanwhile, nothing is held in reserve. */
  tidy(): void {
    if (!this.#copied) {
      this.#spare.clear();
      this.#bytes = 0;
    }
    this.#copied = false;
  }
}
