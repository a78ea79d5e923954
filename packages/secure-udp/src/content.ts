/**
 * What is inside a record's seal (PROTOCOL.md, "Content"): a byte that says what it is, then
 *
 * +---------------+-----------------------------------------------+
 * | DATA = 1      | a payload ...                                 |
 * +---------------+-----------------------------------------------+
 * | PROBE = 2     | token (64), then up to 56 bytes, not read     |
 * +---------------+-----------------------------------------------+
 * | ANSWER = 3    | the token of a PROBE (64)                     |
 * +---------------+-----------------------------------------------+
 * | RECEIVED = 4  | highest sequence (64), bitmap (0 to 1 024)    |
 * +---------------+-----------------------------------------------+
 * | LEAVE = 5     | the same                                      |
 * +---------------+-----------------------------------------------+
 * | END = 6       | reason (8)                                    |
 * +---------------+-----------------------------------------------+
 *
 * Bit i of the bitmap, counted from the least of its first byte, is sequence `highest - 1 - i`.
 */
import { readCount, REPLAY_WINDOW_PACKETS, writeCount } from '@argyle/host';

/** Only append: numbers are never given a second meaning. */
export const ContentKind = {
  data: 1,
  probe: 2,
  answer: 3,
  received: 4,
  leave: 5,
  end: 6,
} as const;

/** Why an association is over. `closed`: the client asked. `deleted`: a node was told. */
export type EndReason = 'closed' | 'deleted' | 'replay';
const END_REASONS: readonly (EndReason | undefined)[] = [undefined, 'closed', 'deleted', 'replay'];

/** Which of a sender's records have come. Of what lies further back than the bitmap, nothing. */
export interface Receipt {
  readonly highest: number;
  readonly bitmap: Uint8Array;
}

export type Content =
  | { readonly kind: 'data'; readonly payload: Uint8Array }
  | { readonly kind: 'probe' | 'answer'; readonly token: Buffer }
  | { readonly kind: 'received' | 'leave'; readonly receipt: Receipt }
  | { readonly kind: 'end'; readonly reason: EndReason };

export const TOKEN_BYTES = 8;
const PROBE_BODY_BYTES_MAX = 64;
const HIGHEST_BYTES = 8;
/** All of a replay window. */
export const BITMAP_BYTES_MAX = REPLAY_WINDOW_PACKETS / 8;
/** Of the content of a receipt without a bitmap. */
export const RECEIPT_BYTES_MIN = 1 + HIGHEST_BYTES;
/** The contents of a PROBE: the least, and one whose record is longer than a TAKE in any suite. */
export const PROBE_BYTES = 1 + TOKEN_BYTES;
export const TRIGGERING_PROBE_BYTES = 25;

/** `content` belongs to the caller, and payloads are views of it. */
export function decodeContent(content: Buffer): Content | undefined {
  const body = content.subarray(1);
  switch (content[0]) {
    case ContentKind.data:
      return { kind: 'data', payload: body };
    case ContentKind.probe:
      if (body.length < TOKEN_BYTES || body.length > PROBE_BODY_BYTES_MAX) return undefined;
      return { kind: 'probe', token: body.subarray(0, TOKEN_BYTES) };
    case ContentKind.answer:
      return body.length === TOKEN_BYTES ? { kind: 'answer', token: body } : undefined;
    case ContentKind.received:
    case ContentKind.leave:
      return decodeReceipt(content[0] === ContentKind.leave ? 'leave' : 'received', body);
    case ContentKind.end: {
      const reason = body.length === 1 ? endReason(body.readUInt8()) : undefined;
      return reason && { kind: 'end', reason };
    }
    default:
      return undefined;
  }
}

/** The payload is copied: the content belongs to whoever asked for it. */
export function encodeData(payload: Uint8Array): Buffer {
  return encode(ContentKind.data, payload);
}

/** `sizeBytes`: of the whole content; what the token leaves is zero. */
export function encodeProbe(token: Uint8Array, sizeBytes = PROBE_BYTES): Buffer {
  const content = Buffer.alloc(sizeBytes);
  content[0] = ContentKind.probe;
  content.set(token, 1);
  return content;
}

export function encodeAnswer(token: Uint8Array): Buffer {
  return encode(ContentKind.answer, token);
}

export function encodeReceipt(kind: 'received' | 'leave', { highest, bitmap }: Receipt): Buffer {
  const content = Buffer.allocUnsafe(1 + HIGHEST_BYTES + bitmap.length);
  content[0] = ContentKind[kind];
  writeCount(content, highest, 1);
  content.set(bitmap, 1 + HIGHEST_BYTES);
  return content;
}

export function encodeEnd(reason: EndReason): Buffer {
  return Buffer.of(ContentKind.end, endReasonNumber(reason));
}

/** Undefined for a number that has no meaning. */
export function endReason(number: number): EndReason | undefined {
  return END_REASONS[number];
}

export function endReasonNumber(reason: EndReason): number {
  return END_REASONS.indexOf(reason);
}

function encode(kind: number, body: Uint8Array): Buffer {
  const content = Buffer.allocUnsafe(1 + body.length);
  content[0] = kind;
  content.set(body, 1);
  return content;
}

/** Undefined for one that the receipt says nothing of. */
export function isReceived({ highest, bitmap }: Receipt, sequence: number): boolean | undefined {
  if (sequence === highest) return true;
  const bit = highest - 1 - sequence;
  if (bit < 0) return false;
  const byte = bitmap[Math.floor(bit / 8)];
  return byte === undefined ? undefined : (byte & (1 << (bit % 8))) !== 0;
}

function decodeReceipt(kind: 'received' | 'leave', body: Buffer): Content | undefined {
  if (body.length < HIGHEST_BYTES || body.length > HIGHEST_BYTES + BITMAP_BYTES_MAX) {
    return undefined;
  }
  const highest = readCount(body, 0);
  if (highest === Infinity) return undefined;
  return { kind, receipt: { highest, bitmap: body.subarray(HIGHEST_BYTES) } };
}
