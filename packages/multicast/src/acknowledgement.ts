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
import { type Gap, gapsBytes, readGaps, writeGaps } from './gaps.ts';
import { INCARNATION_BYTES } from './segment.ts';

const GAPS_OFFSET = INCARNATION_BYTES + 24;

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
  const body = Buffer.alloc(GAPS_OFFSET + gapsBytes(ack.gaps));
  body.write(ack.incarnation, 0, 'hex');
  writeCount(body, ack.received, INCARNATION_BYTES);
  writeCount(body, ack.applied, INCARNATION_BYTES + 8);
  writeCount(body, ack.newest, INCARNATION_BYTES + 16);
  writeGaps(ack.gaps, body, GAPS_OFFSET);
  return body;
}

export function decodeAcknowledgement(body: Buffer): Acknowledgement | undefined {
  if (body.length <= GAPS_OFFSET) return undefined;
  const gaps = readGaps(body, GAPS_OFFSET);
  return (
    gaps && {
      incarnation: body.toString('hex', 0, INCARNATION_BYTES),
      received: readCount(body, INCARNATION_BYTES),
      applied: readCount(body, INCARNATION_BYTES + 8),
      newest: readCount(body, INCARNATION_BYTES + 16),
      gaps,
    }
  );
}
