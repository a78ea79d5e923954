/**
 * How our client and a node carry tunnels one after another over one TLS connection. Each direction
 * of a tunnel is a sequence of chunks with END as the last one, so the connection goes on after the
 * tunnel, and one that was cut is told from one that has ended. TLS alone does not tell them apart
 * here: the runtime shows the end of TCP as the end of the stream, with or without the close_notify
 * of RFC 8446 §6.1.
 *
 * ```
 *  0        1                    4
 * +--------+--------------------+-----------------
 * | kind   | length (24)        | payload (length)
 * +--------+--------------------+-----------------
 * ```
 */

/** Of a chunk's header. */
export const CHUNK_HEADER_BYTES = 4;
/** Of one chunk's payload: what its 24 bits hold. */
export const CHUNK_PAYLOAD_MAX = 2 ** 24 - 1;

/** DATA has a payload, END has none and is the last of its direction. */
const Kind = { data: 0, end: 1 } as const;

const END = Uint8Array.of(Kind.end, 0, 0, 0);

/** The header of a DATA chunk; 1 to CHUNK_PAYLOAD_MAX bytes follow. */
export function encodeDataHeader(payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(CHUNK_HEADER_BYTES);
  header.writeUInt32BE(Kind.data * 2 ** 24 + payloadBytes);
  return header;
}

export function encodeEnd(): Uint8Array {
  return END;
}

/** `malformed`: nothing after it has a meaning. */
export type ChunkProgress =
  | { readonly kind: 'open' }
  /** `rest`: what came after END. */
  | { readonly kind: 'ended'; readonly rest: Buffer }
  | { readonly kind: 'malformed' };

const OPEN: ChunkProgress = { kind: 'open' };
const MALFORMED: ChunkProgress = { kind: 'malformed' };

/** One direction's chunks, however they are cut. Payloads pass in parts, and are never gathered. */
export class ChunkReader {
  #header = 0;
  #headerBytes = 0;
  #payloadLeft = 0;

  /** `payload` gets views of `bytes`. After anything but `open` the reader is spent. */
  read(bytes: Buffer, payload: (part: Buffer) => void): ChunkProgress {
    let at = 0;
    while (at < bytes.length) {
      if (this.#payloadLeft > 0) {
        const end = Math.min(bytes.length, at + this.#payloadLeft);
        this.#payloadLeft -= end - at;
        payload(bytes.subarray(at, end));
        at = end;
        continue;
      }
      this.#header = this.#header * 256 + (bytes[at] ?? 0);
      this.#headerBytes += 1;
      at += 1;
      if (this.#headerBytes < CHUNK_HEADER_BYTES) continue;
      const [kind, length] = [this.#header >>> 24, this.#header & CHUNK_PAYLOAD_MAX];
      [this.#header, this.#headerBytes] = [0, 0];
      if (kind === Kind.end && length === 0) return { kind: 'ended', rest: bytes.subarray(at) };
      if (kind !== Kind.data || length === 0) return MALFORMED;
      this.#payloadLeft = length;
    }
    return OPEN;
  }
}
