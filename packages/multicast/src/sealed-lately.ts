import { timingSafeEqual } from 'node:crypto';
import { HEADER_BYTES, OVERHEAD_BYTES, TAG_BYTES } from './segment.ts';

/** Own copies come back within milliseconds; those that come later are opened as any other is. */
const REMEMBERED = 64;

interface Sealed {
  readonly packet: number;
  readonly header: Buffer;
  readonly tag: Buffer;
  readonly body: Uint8Array;
}

/**
 * What this member has sealed lately: an own segment that comes back need not be opened. Who sends
 * its header and tag has seen the segment itself, and could as well have sent all of it once more;
 * and what is answered is what was sealed, not what came.
 */
export class SealedLately {
  readonly #sealed = new Array<Sealed | undefined>(REMEMBERED).fill(undefined);

  /** The body must not change any more. */
  add(packet: number, header: Buffer, tag: Buffer, body: Uint8Array): void {
    this.#sealed[packet % REMEMBERED] = { packet, header, tag, body };
  }

  /** The body of a segment that comes back for the first time; undefined for any other. */
  take(segment: Buffer, packet: number): Buffer | undefined {
    const at = packet % REMEMBERED;
    const sealed = this.#sealed[at];
    if (sealed?.packet !== packet || segment.length !== OVERHEAD_BYTES + sealed.body.length) {
      return undefined;
    }
    if (!sealed.header.equals(segment.subarray(0, HEADER_BYTES))) return undefined;
    if (!timingSafeEqual(sealed.tag, segment.subarray(-TAG_BYTES))) return undefined;
    this.#sealed[at] = undefined;
    const { buffer, byteOffset, byteLength } = sealed.body;
    return Buffer.from(buffer, byteOffset, byteLength);
  }

  /** Packet numbers begin again. */
  clear(): void {
    this.#sealed.fill(undefined);
  }
}
