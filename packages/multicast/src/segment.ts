/**
 * A segment is what one datagram of a group carries (PROTOCOL.md, "Segment"). Nothing but this
 * header is read before the seal is checked.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+-------------------------------+
 * |  version = 1  |     kind      |          reserved = 0         |
 * +---------------+---------------+-------------------------------+
 * |                            key id                             |
 * +---------------------------------------------------------------+
 * |                          cluster id                           |
 * |                                                               |
 * +---------------------------------------------------------------+
 * |                          incarnation                          |
 * |                                                               |
 * |                                                               |
 * |                                                               |
 * +---------------------------------------------------------------+
 * |                         packet number                         |
 * |                                                               |
 * +---------------------------------------------------------------+
 * |                  ciphertext, then tag (16) ...                |
 * +---------------------------------------------------------------+
 */
import { writeCount } from '@argyle/host';

export const SEGMENT_VERSION = 1;
export const KEY_ID_OFFSET = 4;
export const CLUSTER_ID_OFFSET = 8;
export const INCARNATION_OFFSET = 16;
export const PACKET_OFFSET = 32;
export const HEADER_BYTES = 40;
export const KEY_ID_BYTES = 4;
export const CLUSTER_ID_BYTES = 8;
export const INCARNATION_BYTES = 16;
export const TAG_BYTES = 16;
export const OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES;

/** Only append: numbers are never given a second meaning. */
export const SegmentKind = {
  data: 1,
  acknowledgement: 2,
  heartbeat: 3,
  leave: 4,
  request: 5,
} as const;
export type SegmentKindName = keyof typeof SegmentKind;

const NAMES = new Map<number, SegmentKindName>(
  Object.entries(SegmentKind).map(([name, kind]) => [kind, name as SegmentKindName]),
);

export function kindName(kind: number): SegmentKindName | undefined {
  return NAMES.get(kind);
}

export interface HeaderFields {
  readonly kind: number;
  readonly keyId: Uint8Array;
  readonly clusterId: Uint8Array;
  readonly incarnation: Uint8Array;
  readonly packet: number;
}

export function encodeHeader(fields: HeaderFields): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = SEGMENT_VERSION;
  header[1] = fields.kind;
  header.set(fields.keyId, KEY_ID_OFFSET);
  header.set(fields.clusterId, CLUSTER_ID_OFFSET);
  header.set(fields.incarnation, INCARNATION_OFFSET);
  writeCount(header, fields.packet, PACKET_OFFSET);
  return header;
}
