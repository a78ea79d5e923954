/**
 * Reads a TLS ClientHello ahead of the TLS library (RFC 8446 §4.1.2), because the library says
 * nothing of the pre-shared keys that a client offers, and those name the session to resume. Bytes
 * come in any fragmentation, over TCP segments and over TLS records; nothing here ever throws.
 */

import { Cursor } from './cursor.ts';

/** What a node has to know of a ClientHello before the library reads it. */
export interface ClientHello {
  /** In lower case; undefined when the client names none. */
  readonly serverName: string | undefined;
  /** `legacy_session_id`: 0 to 32 bytes. */
  readonly sessionId: Uint8Array;
  readonly offersPsk: boolean;
  /** The first pre-shared key identity that has a session id's length: the one to answer for. */
  readonly identity: Uint8Array | undefined;
  readonly extendedMasterSecret: boolean;
  readonly alpn: readonly string[];
  readonly supportsTls13: boolean;
}

export type HelloRefusal = 'not-tls' | 'not-hello' | 'malformed' | 'too-long';

export type HelloProgress =
  | { readonly kind: 'incomplete' }
  | {
      readonly kind: 'hello';
      readonly hello: ClientHello;
      /** All that was read, the hello framed as one record: what the library reads next. */
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'refused'; readonly reason: HelloRefusal };

/** 32: what OpenSSL makes, also as the stateful ticket of TLS 1.3. */
export const SESSION_ID_BYTES = 32;

/** RFC 8446 §5.1. */
const RECORD_HANDSHAKE = 0x16;
const RECORD_HEADER_BYTES = 5;
const RECORD_BODY_MAX = 16_384;
/** RFC 8446 §4: type (1), length (3). */
const MESSAGE_CLIENT_HELLO = 1;
const MESSAGE_HEADER_BYTES = 4;
/** One record's worth: hybrid key shares make about 1.7 KB, padding little more. */
const MESSAGE_MAX = RECORD_BODY_MAX;
/** Bounds what a hello in tiny records may cost. */
const READ_MAX = 2 * MESSAGE_MAX;

const INCOMPLETE: HelloProgress = { kind: 'incomplete' };

/** Give `push` each chunk until it says something else than incomplete; then it is spent. */
export class ClientHelloReader {
  readonly #header = Buffer.alloc(RECORD_HEADER_BYTES);
  #headerFilled = 0;
  #recordLeft = 0;
  #message = Buffer.alloc(2_048);
  #filled = 0;
  #read = 0;

  push(chunk: Uint8Array): HelloProgress {
    let at = 0;
    while (at < chunk.length) {
      if (this.#recordLeft === 0) {
        const refusal = this.#readHeader(chunk[at] ?? 0);
        at += 1;
        if (refusal) return { kind: 'refused', reason: refusal };
        continue;
      }
      const size = Math.min(this.#recordLeft, chunk.length - at);
      const refusal = this.#readBody(chunk.subarray(at, at + size));
      at += size;
      if (refusal) return { kind: 'refused', reason: refusal };
      if (this.#complete) return this.#finish(chunk.subarray(at));
    }
    this.#read += chunk.length;
    return this.#read > READ_MAX ? { kind: 'refused', reason: 'too-long' } : INCOMPLETE;
  }

  #readHeader(byte: number): HelloRefusal | undefined {
    this.#header[this.#headerFilled] = byte;
    this.#headerFilled += 1;
    if (this.#headerFilled === 1) return byte === RECORD_HANDSHAKE ? undefined : 'not-tls';
    if (this.#headerFilled === 2) return byte === 3 ? undefined : 'not-tls';
    if (this.#headerFilled < RECORD_HEADER_BYTES) return undefined;
    this.#headerFilled = 0;
    this.#recordLeft = this.#header.readUInt16BE(3);
    return this.#recordLeft === 0 || this.#recordLeft > RECORD_BODY_MAX ? 'malformed' : undefined;
  }

  #readBody(bytes: Uint8Array): HelloRefusal | undefined {
    this.#recordLeft -= bytes.length;
    if (this.#filled + bytes.length > MESSAGE_MAX) return 'too-long';
    this.#reserve(this.#filled + bytes.length);
    this.#message.set(bytes, this.#filled);
    this.#filled += bytes.length;
    if (this.#message[0] !== MESSAGE_CLIENT_HELLO) return 'not-hello';
    if (this.#filled < MESSAGE_HEADER_BYTES) return undefined;
    if (this.#messageBytes > MESSAGE_MAX) return 'too-long';
    // RFC 8446 §5.1: a message that ends a flight ends its record too.
    const surplus = this.#filled > this.#messageBytes || (this.#complete && this.#recordLeft > 0);
    return surplus ? 'malformed' : undefined;
  }

  get #messageBytes(): number {
    return MESSAGE_HEADER_BYTES + this.#message.readUIntBE(1, 3);
  }

  get #complete(): boolean {
    return this.#filled >= MESSAGE_HEADER_BYTES && this.#filled === this.#messageBytes;
  }

  #reserve(sizeBytes: number): void {
    if (sizeBytes <= this.#message.length) return;
    const grown = Buffer.alloc(Math.min(MESSAGE_MAX, Math.max(sizeBytes, this.#filled * 2)));
    grown.set(this.#message.subarray(0, this.#filled));
    this.#message = grown;
  }

  #finish(rest: Uint8Array): HelloProgress {
    const message = this.#message.subarray(0, this.#filled);
    const hello = decodeClientHello(message.subarray(MESSAGE_HEADER_BYTES));
    if (!hello) return { kind: 'refused', reason: 'malformed' };
    this.#header.writeUInt16BE(message.length, 3);
    return { kind: 'hello', hello, bytes: Buffer.concat([this.#header, message, rest]) };
  }
}

/** RFC 8446 §4.2 and, for the master secret, RFC 7627. */
const Extension = {
  serverName: 0,
  alpn: 16,
  extendedMasterSecret: 23,
  preSharedKey: 41,
  supportedVersions: 43,
} as const;

const TLS_1_3 = 0x0304;

function decodeClientHello(body: Buffer): ClientHello | undefined {
  const hello = new Cursor(body);
  hello.take(2 + 32);
  const sessionId = hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  const extensions = hello.left > 0 ? decodeExtensions(hello.vector(2)) : new Map();
  if (hello.broken || hello.left > 0 || sessionId.length > SESSION_ID_BYTES) return undefined;
  if (!extensions) return undefined;

  const serverName = decodeServerName(extensions.get(Extension.serverName));
  const alpn = decodeAlpn(extensions.get(Extension.alpn));
  const identities = decodeIdentities(extensions.get(Extension.preSharedKey));
  const versions = decodeVersions(extensions.get(Extension.supportedVersions));
  if (!serverName || !alpn || !identities || !versions) return undefined;
  const identity = identities.find(({ length }) => length === SESSION_ID_BYTES);
  // Copies: what is kept for as long as a connection does not hold all of the hello.
  return {
    serverName: serverName[0],
    sessionId: Buffer.from(sessionId),
    offersPsk: identities.length > 0,
    identity: identity && Buffer.from(identity),
    extendedMasterSecret: extensions.has(Extension.extendedMasterSecret),
    alpn,
    supportsTls13: versions.includes(TLS_1_3),
  };
}

function decodeExtensions(bytes: Buffer): Map<number, Buffer> | undefined {
  const cursor = new Cursor(bytes);
  const extensions = new Map<number, Buffer>();
  while (cursor.left > 0) {
    const type = cursor.uint(2);
    const body = cursor.vector(2);
    // RFC 8446 §4.2: no two of the same type.
    if (cursor.broken || extensions.has(type)) return undefined;
    extensions.set(type, body);
  }
  return extensions;
}

/** RFC 6066 §3; at most one name of the one type that exists. */
function decodeServerName(extension: Buffer | undefined): readonly string[] | undefined {
  return decodeList(extension, 2, (cursor) => {
    cursor.take(1);
    return cursor.vector(2).toString('latin1').toLowerCase();
  });
}

/** RFC 7301 §3.1. */
function decodeAlpn(extension: Buffer | undefined): readonly string[] | undefined {
  return decodeList(extension, 2, (cursor) => cursor.vector(1).toString('latin1'));
}

/** RFC 8446 §4.2.1. */
function decodeVersions(extension: Buffer | undefined): readonly number[] | undefined {
  return decodeList(extension, 1, (cursor) => cursor.uint(2));
}

/** RFC 8446 §4.2.11: the identities; the binders are the library's. */
function decodeIdentities(extension: Buffer | undefined): readonly Buffer[] | undefined {
  if (!extension) return [];
  const cursor = new Cursor(extension);
  const identities = cursor.vectorWithLength(2);
  cursor.vector(2);
  if (cursor.broken || cursor.left > 0) return undefined;
  return decodeList(identities, 2, (entry) => {
    const identity = entry.vector(2);
    entry.take(4);
    return identity;
  });
}

/** One list of which nothing may be left over; an absent one is empty. */
function decodeList<Item>(
  bytes: Buffer | undefined,
  lengthBytes: number,
  decode: (cursor: Cursor) => Item,
): readonly Item[] | undefined {
  if (!bytes) return [];
  const outer = new Cursor(bytes);
  const cursor = new Cursor(outer.vector(lengthBytes));
  if (outer.broken || outer.left > 0) return undefined;
  const items: Item[] = [];
  while (cursor.left > 0) {
    items.push(decode(cursor));
    if (cursor.broken) return undefined;
  }
  return items;
}
