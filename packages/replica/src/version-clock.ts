import assert from 'node:assert/strict';

export const VERSION_BYTES = 16;
const TIME_BYTES = 6;
const AUTHOR_OFFSET = 8;
const AUTHOR_BYTES = 8;
const COUNTER_LIMIT = 0x1_0000;
/** The year 2106, as for expiries: a clock that were led further would soon have no next stamp. */
const TIME_LIMIT_MS = 0xffff_ffff * 1000;

/**
 * A hybrid logical clock (Kulkarni et al. 2014): wall milliseconds (48 bits) and a counter (16),
 * then the author, the first 8 bytes of his incarnation. Versions compare as bytes; the greater
 * wins. A stamp is greater than every version that was observed before it.
 *
 * +-------------------------------+---------------+---------------+
 * |        milliseconds (48)                      | counter (16)  |
 * +-------------------------------+---------------+---------------+
 * |                          author (64)                          |
 * +---------------------------------------------------------------+
 */
export class VersionClock {
  #timeMs = 0;
  #counter = 0;
  #author = Buffer.alloc(AUTHOR_BYTES);

  /** Versions are stamped with this incarnation (hexadecimal) from here on. */
  adopt(incarnation: string): void {
    this.#author = Buffer.from(incarnation, 'hex').subarray(0, AUTHOR_BYTES);
    assert.equal(this.#author.length, AUTHOR_BYTES);
  }

  stamp(nowWall: number): Uint8Array {
    const wallMs = Math.floor(nowWall);
    if (wallMs > this.#timeMs) {
      this.#timeMs = wallMs;
      this.#counter = 0;
    } else {
      this.#counter += 1;
      if (this.#counter === COUNTER_LIMIT) {
        this.#timeMs += 1;
        this.#counter = 0;
      }
    }
    const version = Buffer.alloc(VERSION_BYTES);
    version.writeUIntBE(this.#timeMs, 0, TIME_BYTES);
    version.writeUInt16BE(this.#counter, TIME_BYTES);
    version.set(this.#author, AUTHOR_OFFSET);
    return version;
  }

  observe(version: Uint8Array): void {
    const bytes = Buffer.from(version.buffer, version.byteOffset, version.byteLength);
    const timeMs = bytes.readUIntBE(0, TIME_BYTES);
    const counter = bytes.readUInt16BE(TIME_BYTES);
    if (timeMs < this.#timeMs || (timeMs === this.#timeMs && counter <= this.#counter)) return;
    this.#timeMs = timeMs;
    this.#counter = counter;
  }
}

/** Of the right size, and not of a time that no clock shows. */
export function isVersion(bytes: unknown): bytes is Uint8Array {
  if (!(bytes instanceof Uint8Array) || bytes.length !== VERSION_BYTES) return false;
  const { buffer, byteOffset } = bytes;
  return Buffer.from(buffer, byteOffset, TIME_BYTES).readUIntBE(0, TIME_BYTES) <= TIME_LIMIT_MS;
}
