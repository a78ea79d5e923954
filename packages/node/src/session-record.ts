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
const LINEAGE_AT = 1;
const TRUST_AT = LINEAGE_AT + LINEAGE_BYTES;
const TIMES_AT = TRUST_AT + TRUST_BYTES;
const TIME_BYTES = 8;
const HEADER_BYTES = TIMES_AT + 3 * TIME_BYTES;

export function encodeSessionRecord(record: SessionRecord): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES + record.der.length);
  bytes[0] = FORMAT;
  bytes.set(record.lineage, LINEAGE_AT);
  bytes.set(record.trust, TRUST_AT);
  const times = [record.createdAt, record.until, record.boundAt];
  times.forEach((time, index) => writeTime(bytes, time, TIMES_AT + index * TIME_BYTES));
  bytes.set(record.der, HEADER_BYTES);
  return bytes;
}

/** Undefined for another format: a record that this version does not know is no record. */
export function decodeSessionRecord(bytes: Uint8Array): SessionRecord | undefined {
  if (bytes.length <= HEADER_BYTES || bytes[0] !== FORMAT) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    lineage: bytes.subarray(LINEAGE_AT, TRUST_AT),
    trust: bytes.subarray(TRUST_AT, TIMES_AT),
    createdAt: readTime(view, TIMES_AT),
    until: readTime(view, TIMES_AT + TIME_BYTES),
    boundAt: readTime(view, TIMES_AT + 2 * TIME_BYTES),
    der: bytes.subarray(HEADER_BYTES),
  };
}

function readTime(view: DataView, at: number): number {
  return Number(view.getBigUint64(at));
}

function writeTime(bytes: Buffer, time: number, at: number): void {
  bytes.writeBigUInt64BE(BigInt(Math.floor(time)), at);
}
