/**
 * The body of a DATA segment: a position in the sender's stream, then whole messages and fragments
 * of messages (PROTOCOL.md, "Data").
 *
 * +---------------------------------------------------------------+
 * |                         sequence (64)                         |
 * +---------------+-----------------------------------------------+
 * |  flags (8)    |  with flag 2: echo of (64); then
 * |               |  items: { flags (8), length (16), bytes } ...
 * +---------------+-----------------------------------------------+
 */
import { readCount, writeCount } from '@argyle/host';

export const DATA_HEADER_BYTES = 9;
export const ITEM_HEADER_BYTES = 3;
/** The first bytes of an incarnation. */
export const ECHO_BYTES = 8;
/** The sender waits: acknowledge at once. */
const URGENT = 1;
/** Somebody is to return the newest sequence. */
const ECHO = 2;
const FIRST = 1;
const LAST = 2;

export interface Item {
  readonly first: boolean;
  readonly last: boolean;
  readonly bytes: Uint8Array;
}

export interface Data {
  readonly sequence: number;
  readonly urgent: boolean;
  /** Hexadecimal: how the incarnation begins that is to return the newest sequence at once. */
  readonly echoOf?: string | undefined;
  readonly items: readonly Item[];
}

export function encodeData(data: Data): Buffer {
  const size = data.items.reduce((sum, item) => sum + ITEM_HEADER_BYTES + item.bytes.length, 0);
  let offset = DATA_HEADER_BYTES + (data.echoOf === undefined ? 0 : ECHO_BYTES);
  const body = Buffer.allocUnsafe(offset + size);
  writeCount(body, data.sequence, 0);
  body[8] = (data.urgent ? URGENT : 0) | (data.echoOf === undefined ? 0 : ECHO);
  if (data.echoOf !== undefined) body.write(data.echoOf, DATA_HEADER_BYTES, ECHO_BYTES, 'hex');
  for (const item of data.items) {
    body[offset] = (item.first ? FIRST : 0) | (item.last ? LAST : 0);
    body.writeUInt16BE(item.bytes.length, offset + 1);
    body.set(item.bytes, offset + ITEM_HEADER_BYTES);
    offset += ITEM_HEADER_BYTES + item.bytes.length;
  }
  return body;
}

/** All that is asked of an own body that comes back; undefined if there is none. */
export function sequenceOf(body: Buffer): number | undefined {
  return body.length < DATA_HEADER_BYTES ? undefined : readCount(body, 0);
}

export function decodeData(body: Buffer): Data | undefined {
  if (body.length < DATA_HEADER_BYTES) return undefined;
  const sequence = readCount(body, 0);
  const flags = body[DATA_HEADER_BYTES - 1] ?? 0;
  const echo = (flags & ECHO) !== 0;
  const items: Item[] = [];
  let offset = DATA_HEADER_BYTES + (echo ? ECHO_BYTES : 0);
  const echoOf = echo ? body.toString('hex', DATA_HEADER_BYTES, offset) : undefined;
  while (offset < body.length) {
    if (offset + ITEM_HEADER_BYTES > body.length) return undefined;
    const itemFlags = body[offset] ?? 0;
    const start = offset + ITEM_HEADER_BYTES;
    offset = start + body.readUInt16BE(offset + 1);
    if (offset === start || offset > body.length) return undefined;
    const bytes = body.subarray(start, offset);
    items.push({ first: (itemFlags & FIRST) !== 0, last: (itemFlags & LAST) !== 0, bytes });
  }
  if (sequence === Infinity || sequence === 0 || items.length === 0) return undefined;
  return { sequence, urgent: (flags & URGENT) !== 0, echoOf, items };
}
