/**
 * A record of secure UDP: a TLS record whose type has the UDP bit set (PROTOCOL.md, "Record"; the
 * patent's FIG. 5A, 507). Each is opened by itself, whatever was lost before it. All of the header
 * is authenticated; nothing else of a record is read before its seal is checked.
 *
 *  0        1                 3                 5
 * +--------+-----------------+-----------------+------------------------------------+
 * | type   | version 0x0303  | length of the   | association id (64)                |
 * | (8)    | (16)            | rest (16)       |                                    |
 * +--------+-----------------+-----------------+------------------------------------+
 * | epoch (64)                                 | sequence (64)                      |
 * +--------------------------------------------+------------------------------------+
 * | ciphertext, then tag, as the suite says ...                                     |
 * +---------------------------------------------------------------------------------+
 */
import { readCount, writeCount } from '@argyle/host';

export const TYPE_OFFSET = 0;
export const VERSION_OFFSET = 1;
export const LENGTH_OFFSET = 3;
export const ASSOCIATION_OFFSET = 5;
export const EPOCH_OFFSET = 13;
export const SEQUENCE_OFFSET = 21;
export const HEADER_BYTES = 29;
/** What `length` does not count. */
const TLS_HEADER_BYTES = 5;

export const ASSOCIATION_BYTES = 8;
export const EPOCH_BYTES = 8;
/** R is the node's, C the client's. */
export const RANDOM_BYTES = 16;

/** In the first byte of every record of secure UDP, and of no TLS record. */
export const UDP_BIT = 0x80;
/** TLS's handshake and application data, with the UDP bit. */
export const RecordType = { takeOver: 0x96, sealed: 0x97 } as const;
const VERSION = 0x0303;

/** The epoch of a HELLO. */
export const NO_EPOCH = '0'.repeat(2 * EPOCH_BYTES);

/** `length`: the record ends after the datagram, or has no room for a header. */
export type RecordRefusal = 'short' | 'type' | 'version' | 'length';

export interface UdpRecord {
  readonly type: number;
  /** Hexadecimal, as everywhere outside the codecs; `epoch` too. */
  readonly association: string;
  readonly epoch: string;
  /** Infinity from 2^48 on, which no honest sender reaches. */
  readonly sequence: number;
  /** All of it: a view of the datagram. */
  readonly bytes: Buffer;
}

/** Several records may share a datagram: the next begins where `bytes` ends. */
export function readRecord(datagram: Buffer, at: number): UdpRecord | RecordRefusal {
  if (datagram.length - at < HEADER_BYTES) return 'short';
  const type = datagram[at] ?? 0;
  if (type !== RecordType.sealed && type !== RecordType.takeOver) return 'type';
  if (datagram.readUInt16BE(at + VERSION_OFFSET) !== VERSION) return 'version';
  const end = at + TLS_HEADER_BYTES + datagram.readUInt16BE(at + LENGTH_OFFSET);
  if (end > datagram.length || end - at < HEADER_BYTES) return 'length';
  const names = datagram.toString('hex', at + ASSOCIATION_OFFSET, at + SEQUENCE_OFFSET);
  return {
    type,
    association: names.slice(0, 2 * ASSOCIATION_BYTES),
    epoch: names.slice(2 * ASSOCIATION_BYTES),
    sequence: readCount(datagram, at + SEQUENCE_OFFSET),
    bytes: datagram.subarray(at, end),
  };
}

/** Writes a header into the first bytes of `record`, or of what a record begins with. */
export function writeHeader(
  record: Buffer,
  fields: { type: number; association: Buffer; epoch: Buffer; sequence: number; sizeBytes: number },
): void {
  record[TYPE_OFFSET] = fields.type;
  record.writeUInt16BE(VERSION, VERSION_OFFSET);
  record.writeUInt16BE(fields.sizeBytes - TLS_HEADER_BYTES, LENGTH_OFFSET);
  fields.association.copy(record, ASSOCIATION_OFFSET);
  fields.epoch.copy(record, EPOCH_OFFSET);
  writeCount(record, fields.sequence, SEQUENCE_OFFSET);
}
