/**
 * Nearly every message is a put of one record: the same msgpack as any other (PROTOCOL.md), written
 * and read by hand, since a general codec takes twice the time and three times the memory. What has
 * another shape than what is written here is the general codec's.
 */
import type { TransferRecord } from './message.ts';
import { isVersion, VERSION_BYTES } from './version-clock.ts';

const ARRAY = 0x90;
const ARRAY_LENGTH_MAX = 15;
const FIXINT_MAX = 0x7f;
const UINT_8 = 0xcc;
const DOUBLE = 0xcb;
const BIN_8 = 0xc4;
const BIN_16 = 0xc5;
const BIN_32 = 0xc6;
const FIELDS = 5;
/** The array of kind and rows, and the rows' own head. */
const HEAD_BYTES = 3;
/** A row's head, a table, the heads of key, value and version, a time. */
const ROW_OVERHEAD_BYTES = 1 + 2 + 2 + 5 + 2 + 9;

const double = new DataView(new ArrayBuffer(8));

/** Undefined for what the general codec must write. */
export function encodePut(kind: number, records: readonly TransferRecord[]): Buffer | undefined {
  if (records.length > ARRAY_LENGTH_MAX) return undefined;
  let size = HEAD_BYTES;
  for (const { table, key, value, version } of records) {
    if (!value || table > 0xff || key.length > 0xff) return undefined;
    size += ROW_OVERHEAD_BYTES + key.length + value.length + version.length;
  }
  const bytes = Buffer.allocUnsafe(size);
  bytes[0] = ARRAY + 2;
  bytes[1] = kind;
  bytes[2] = ARRAY + records.length;
  let at = HEAD_BYTES;
  for (const record of records) at = writeRow(bytes, at, record);
  return bytes.subarray(0, at);
}

/** Undefined for what the general codec must read, or refuse. The records are views. */
export function decodePut(kind: number, bytes: Uint8Array): TransferRecord[] | undefined {
  const count = (bytes[2] ?? 0) - ARRAY;
  if (bytes[0] !== ARRAY + 2 || bytes[1] !== kind || count < 0 || count > ARRAY_LENGTH_MAX) {
    return undefined;
  }
  const row = new RowReader(bytes, HEAD_BYTES);
  const records: TransferRecord[] = [];
  for (let index = 0; index < count; index += 1) {
    const record = row.read();
    if (!record) return undefined;
    records.push(record);
  }
  return row.ended ? records : undefined;
}

function writeRow(bytes: Buffer, start: number, record: TransferRecord): number {
  const { table, key, value = new Uint8Array(), expiresAt, version } = record;
  let at = start;
  bytes[at++] = ARRAY + FIELDS;
  if (table > FIXINT_MAX) bytes[at++] = UINT_8;
  bytes[at++] = table;
  at = writeBin(bytes, at, key);
  at = writeBin(bytes, at, value);
  bytes[at] = DOUBLE;
  at = bytes.writeDoubleBE(expiresAt, at + 1);
  return writeBin(bytes, at, version);
}

function writeBin(bytes: Buffer, start: number, content: Uint8Array): number {
  const { length } = content;
  let at = start + 1;
  if (length <= 0xff) {
    bytes[start] = BIN_8;
    bytes[at++] = length;
  } else if (length <= 0xffff) {
    bytes[start] = BIN_16;
    at = bytes.writeUInt16BE(length, at);
  } else {
    bytes[start] = BIN_32;
    at = bytes.writeUInt32BE(length, at);
  }
  bytes.set(content, at);
  return at + length;
}

class RowReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#at = start;
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length;
  }

  read(): TransferRecord | undefined {
    if (this.#byte() !== ARRAY + FIELDS) return undefined;
    const first = this.#byte();
    if (first > FIXINT_MAX && first !== UINT_8) return undefined;
    const table = first === UINT_8 ? this.#byte() : first;
    const key = this.#bin(BIN_8);
    const value = key && this.#bin(BIN_32);
    if (!value || this.#byte() !== DOUBLE) return undefined;
    const expiresAt = this.#double();
    const version = this.#bin(BIN_8);
    if (!(expiresAt >= 0) || version?.length !== VERSION_BYTES) return undefined;
    return isVersion(version) ? { table, key, value, expiresAt, version } : undefined;
  }

  /** Zero beyond the end, which no head is. */
  #byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  /** Undefined for another head, and for what ends too early. */
  #bin(greatest: number): Uint8Array | undefined {
    const head = this.#byte();
    if (head < BIN_8 || head > greatest) return undefined;
    let length = 0;
    for (let left = 1 << (head - BIN_8); left > 0; left -= 1) {
      length = length * 0x100 + this.#byte();
    }
    const { buffer, byteOffset } = this.#bytes;
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) return undefined;
    return new Uint8Array(buffer, byteOffset + start, length);
  }

  /** NaN beyond the end. */
  #double(): number {
    for (let index = 0; index < 8; index += 1) double.setUint8(index, this.#byte());
    return this.#at > this.#bytes.length ? NaN : double.getFloat64(0);
  }
}
