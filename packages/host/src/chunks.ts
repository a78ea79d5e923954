/**
 * How our client and a node carry many tunnels over one TLS connection (packages/node/PROTOCOL.md,
 * "Connections of our client"). Everything after the login is chunks.
 *
 * ```
 *  0        1                 4                8
 * +--------+-----------------+----------------+-----------------
 * | kind   | tunnel (24)     | length (32)    | payload (length)
 * +--------+-----------------+----------------+-----------------
 * ```
 */
export const ChunkKind = {
  /** Bytes of a tunnel, at least one. */
  data: 0,
  /** The direction has ended, as the end of a TCP connection would. */
  end: 1,
  /** The tunnel is broken, in both directions; nothing of it follows. */
  reset: 2,
  /** So many bytes of DATA more may follow (32). */
  credit: 3,
  /** A SOCKS5 request (RFC 1928 §4), client to node: opens the tunnel. */
  request: 4,
  /** A SOCKS5 reply (RFC 1928 §6), node to client, two to a BIND; a failure ends the tunnel. */
  reply: 5,
  /** There is more to say than credit allows; once until some comes. */
  blocked: 6,
} as const;
export type ChunkKindName = keyof typeof ChunkKind;

/** Of a chunk's header. */
export const CHUNK_HEADER_BYTES = 8;
/** Tunnels are numbered from 1 to this by the client, and then anew. */
export const TUNNEL_MAX = 0xff_ffff;
/** Of one chunk's DATA. */
export const DATA_BYTES_MAX = 1024 * 1024;
/** Of a request or a reply: the longest has a name of 255 bytes. */
export const MESSAGE_BYTES_MAX = 262;
export const CREDIT_BYTES = 4;

export function encodeHeader(kind: ChunkKindName, tunnel: number, payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(CHUNK_HEADER_BYTES);
  header.writeUInt32BE(ChunkKind[kind] * 2 ** 24 + tunnel);
  header.writeUInt32BE(payloadBytes, 4);
  return header;
}

export interface ChunkHandlers {
  /** A part of a payload, never gathered; a view of what was read. */
  data(tunnel: number, part: Buffer): void;
  /** Any other chunk, whole. */
  control(kind: Exclude<ChunkKindName, 'data'>, tunnel: number, payload: Buffer): void;
}

const NAMES = Object.keys(ChunkKind) as readonly ChunkKindName[];
const NOTHING = Buffer.alloc(0);

/** A stream of chunks, however it is cut. */
export class ChunkReader {
  readonly #header = Buffer.alloc(CHUNK_HEADER_BYTES);
  #headerBytes = 0;
  #kind: ChunkKindName = 'data';
  #tunnel = 0;
  #left = 0;
  /** Of any other payload than DATA, what has come. */
  #message: Buffer = NOTHING;

  /** False for what is no chunk: nothing after it has a meaning. */
  read(bytes: Buffer, handlers: ChunkHandlers): boolean {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0) {
        const part = bytes.subarray(at, at + this.#left);
        at += part.length;
        this.#left -= part.length;
        if (this.#kind === 'data') handlers.data(this.#tunnel, part);
        else this.#gather(part, handlers);
        continue;
      }
      const part = bytes.subarray(at, at + CHUNK_HEADER_BYTES - this.#headerBytes);
      part.copy(this.#header, this.#headerBytes);
      at += part.length;
      this.#headerBytes += part.length;
      if (this.#headerBytes < CHUNK_HEADER_BYTES) return true;
      this.#headerBytes = 0;
      if (!this.#begin(handlers)) return false;
    }
    return true;
  }

  #begin(handlers: ChunkHandlers): boolean {
    const kind = NAMES[this.#header[0] ?? NAMES.length];
    this.#tunnel = this.#header.readUInt32BE() & TUNNEL_MAX;
    this.#left = this.#header.readUInt32BE(4);
    if (kind === undefined || this.#tunnel === 0) return false;
    this.#kind = kind;
    if (kind === 'data') return this.#left > 0 && this.#left <= DATA_BYTES_MAX;
    if (kind === 'request' || kind === 'reply') {
      return this.#left > 0 && this.#left <= MESSAGE_BYTES_MAX;
    }
    if (kind === 'credit') return this.#left === CREDIT_BYTES;
    if (this.#left > 0) return false;
    handlers.control(kind, this.#tunnel, NOTHING);
    return true;
  }

  #gather(part: Buffer, handlers: ChunkHandlers): void {
    this.#message = Buffer.concat([this.#message, part]);
    if (this.#left > 0 || this.#kind === 'data') return;
    const message = this.#message;
    this.#message = NOTHING;
    handlers.control(this.#kind, this.#tunnel, message);
  }
}
