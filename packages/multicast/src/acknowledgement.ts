/**
 * The body of an ACKNOWLEDGEMENT: cumulative positions in one sender's stream, and what is missing
 * below the highest sequence seen (PROTOCOL.md, "Acknowledgement").
 *
 * +---------------------------------------------------------------+
 * |               incarnation of the stream's sender (128)        |
 * +---------------------------------------------------------------+
 * |                       received up to (64)                     |
 * +---------------------------------------------------------------+
 * |                       applied up to (64)                      |
 * +---------------------------------------------------------------+
 * |                         newest seen (64)                      |
 * +---------------+-----------------------------------------------+
 * |  gaps (8)     |  gaps: { first (64), count (16) } ...
 * +---------------+-----------------------------------------------+
 */
import { readCount, writeCount } from '@argyle/host';
import { INCARNATION_BYTES } from './segment.ts';

const FIXED_BYTES = INCARNATION_BYTES + 25;
const GAP_BYTES = 10;
export const GAPS_MAX = 32;
export const GAP_COUNT_MAX = 1024;

export interface Gap {
  readonly first: number;
  readonly count: number;
}

export interface Acknowledgement {
  /** Hexadecimal. */
  readonly incarnation: string;
  readonly received: number;
  readonly applied: number;
  /** The highest sequence that has come, whatever is missing below it. */
  readonly newest: number;
  readonly gaps: readonly Gap[];
}

export function encodeAcknowledgement(ack: Acknowledgement): Buffer {
  const body = Buffer.alloc(FIXED_BYTES + ack.gaps.length * GAP_BYTES);
  body.write(ack.incarnation, 0, 'hex');
  writeCount(body, ack.received, INCARNATION_BYTES);
  writeCount(body, ack.applied, INCARNATION_BYTES + 8);
  writeCount(body, ack.newest, INCARNATION_BYTES + 16);
  body[FIXED_BYTES - 1] = ack.gaps.length;
  ack.gaps.forEach((gap, index) => {
    writeCount(body, gap.first, FIXED_BYTES + index * GAP_BYTES);
    body.writeUInt16BE(gap.count, FIXED_BYTES + index * GAP_BYTES + 8);
  });
  return body;
}

export function decodeAcknowledgement(body: Buffer): Acknowledgement | undefined {
  if (body.length < FIXED_BYTES) return undefined;
  const count = body[FIXED_BYTES - 1] ?? 0;
  if (count > GAPS_MAX || body.length !== FIXED_BYTES + count * GAP_BYTES) return undefined;
  const gaps = Array.from({ length: count }, (_, index) => ({
    first: readCount(body, FIXED_BYTES + index * GAP_BYTES),
    count: Math.min(GAP_COUNT_MAX, body.readUInt16BE(FIXED_BYTES + index * GAP_BYTES + 8)),
  }));
  return {
    incarnation: body.toString('hex', 0, INCARNATION_BYTES),
    received: readCount(body, INCARNATION_BYTES),
    applied: readCount(body, INCARNATION_BYTES + 8),
    newest: readCount(body, INCARNATION_BYTES + 16),
    gaps,
  };
}
