/**
 * The body of a REQUEST: segments of one sender's stream that somebody misses, who acknowledges
 * nothing, or whose sender is gone (PROTOCOL.md, "Request").
 *
 * +---------------------------------------------------------------+
 * |               incarnation of the stream's sender (128)        |
 * +---------------------------------------------------------------+
 * |               incarnation of the one that is asked (128)      |
 * +---------------+-----------------------------------------------+
 * |  gaps (8)     |  gaps: { first (64), count (16) } ...
 * +---------------+-----------------------------------------------+
 */
import { type Gap, gapsBytes, readGaps, writeGaps } from './gaps.ts';
import { INCARNATION_BYTES } from './segment.ts';

const ASKED_OFFSET = INCARNATION_BYTES;
const GAPS_OFFSET = ASKED_OFFSET + INCARNATION_BYTES;

export interface RepairRequest {
  /** Whose stream it is. Hexadecimal. */
  readonly stream: string;
  /** Who is asked: the stream's sender, or, when that is gone, one who has what is missing. */
  readonly asked: string;
  /** Not empty. */
  readonly gaps: readonly Gap[];
}

export function encodeRequest({ stream, asked, gaps }: RepairRequest): Buffer {
  const body = Buffer.alloc(GAPS_OFFSET + gapsBytes(gaps));
  body.write(stream, 0, 'hex');
  body.write(asked, ASKED_OFFSET, 'hex');
  writeGaps(gaps, body, GAPS_OFFSET);
  return body;
}

export function decodeRequest(body: Buffer): RepairRequest | undefined {
  if (body.length <= GAPS_OFFSET) return undefined;
  const gaps = readGaps(body, GAPS_OFFSET);
  if (!gaps || gaps.length === 0) return undefined;
  const stream = body.toString('hex', 0, INCARNATION_BYTES);
  return { stream, asked: body.toString('hex', ASKED_OFFSET, GAPS_OFFSET), gaps };
}
