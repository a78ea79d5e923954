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
    const version = new Uint8Array(VERSION_BYTES);
    putUint16(version, 0, Math.floor(this.#timeMs / 0x1_0000_0000));
    putUint16(version, 2, this.#timeMs >>> 16);
    putUint16(version, 4, this.#timeMs);
    putUint16(version, TIME_BYTES, this.#counter);
    version.set(this.#author, AUTHOR_OFFSET);
    return version;
  }

  observe(version: Uint8Array): void {
    const timeMs = timeOf(version);
    const counter = uint16At(version, TIME_BYTES);
    if (timeMs < this.#timeMs || (timeMs === this.#timeMs && counter <= this.#counter)) return;
    this.#timeMs = timeMs;
    this.#counter = counter;
  }
}

/** Of the right size, and not of a time that no clock shows. */
export function isVersion(bytes: unknown): bytes is Uint8Array {
  if (!(bytes instanceof Uint8Array) || bytes.length !== VERSION_BYTES) return false;
  return timeOf(bytes) <= TIME_LIMIT_MS;
}

/** Without a view of its own for each version, which would cost more than all else here. */
function timeOf(version: Uint8Array): number {
  const low = uint16At(version, 2) * 0x1_0000 + uint16At(version, 4);
  return uint16At(version, 0) * 0x1_0000_0000 + low;
}

function putUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function uint16At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
