import { Cursor } from './cursor.ts';

/**
 * What the cluster knows of one TLS session (DESIGN §7). All integers are big-endian.
 *
 * ```
 *  0        1               17              33          41          49          57
 * +--------+---------------+---------------+-----------+-----------+-----------+----------
 * | format | lineage (16)  | trust (16)    | created   | until     | bound     | session
 * |   1    |               |               | (8, ms)   | (8, ms)   | (8, ms)   | (DER)
 * +--------+---------------+---------------+-----------+-----------+-----------+----------
 * ```
 */
export interface SessionRecord {
  /** The chain of sessions that began with one full handshake. */
  readonly lineage: Uint8Array;
  /** See `TrustContext`. */
  readonly trust: Uint8Array;
  /** Wall milliseconds since 1970, as are the other two. */
  readonly createdAt: number;
  /** The session's own end; never beyond `boundAt`. */
  readonly until: number;
  /** The end of its lineage; no renewal moves it. */
  readonly boundAt: number;
  /** Secret: whoever has it can resume the session. */
  readonly der: Uint8Array;
}

export const LINEAGE_BYTES = 16;
export const TRUST_BYTES = 16;
const FORMAT = 1;
const TIME_BYTES = 8;
const HEADER_BYTES = 1 + LINEAGE_BYTES + TRUST_BYTES + 3 * TIME_BYTES;

export function encodeSessionRecord(record: SessionRecord): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES + record.der.length);
  bytes[0] = FORMAT;
  bytes.set(record.lineage, 1);
  bytes.set(record.trust, 1 + LINEAGE_BYTES);
  const times = [record.createdAt, record.until, record.boundAt];
  const timesAt = 1 + LINEAGE_BYTES + TRUST_BYTES;
  times.forEach((time, index) => writeTime(bytes, time, timesAt + index * TIME_BYTES));
  bytes.set(record.der, HEADER_BYTES);
  return bytes;
}

/** Undefined for another format: a record that this version does not know is no record. */
export function decodeSessionRecord(bytes: Uint8Array): SessionRecord | undefined {
  const cursor = new Cursor(bytes);
  const format = cursor.uint(1);
  const lineage = cursor.take(LINEAGE_BYTES);
  const trust = cursor.take(TRUST_BYTES);
  const [createdAt, until, boundAt] = [cursor.time(), cursor.time(), cursor.time()];
  const der = cursor.take(cursor.left);
  if (cursor.broken || format !== FORMAT || der.length === 0) return undefined;
  return { lineage, trust, createdAt, until, boundAt, der };
}

function writeTime(bytes: Buffer, time: number, at: number): void {
  bytes.writeBigUInt64BE(BigInt(Math.floor(time)), at);
}
