/**
 * An entry as it lies in a segment, at a multiple of 8, little endian:
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *   0 |     state     |  key length   |         value length          |
 *     +---------------+---------------+-------------------------------+
 *   4 |  covers (seconds since 1970); of a gap: its size in bytes     |
 *     +---------------------------------------------------------------+
 *   8 |  expires at (milliseconds since 1970; of a tombstone 0)       |
 *     +                               +---------------+---------------+
 *  12 |                               | digest bucket |               |
 *     +-------------------------------+---------------+               +
 *  16 |                        digest (8 bytes)                       |
 *     +                                               +---------------+
 *  20 |                                               |               |
 *     +-----------------------------------------------+               +
 *     :                       version (16 bytes)                      :
 *     +                                               +---------------+
 *  36 |                                               |     table     |
 *     +-----------------------------------------------+---------------+
 *  40 :          key, value, zeros up to a multiple of 8              :
 *     +---------------------------------------------------------------+
 *
 * The table's identifier is prepended to the key. The digest covers the first word and everything
 * from the version on: what is equal on equal replicas. A gap is what a dead entry leaves: its
 * first 8 bytes say so, the rest is zero.
 */
import type { Segment } from './segments.ts';
import { compareVersionAt, VERSION_BYTES } from './version.ts';

/** Record or tombstone, copied out; the bytes are the receiver's. */
export interface CacheRecord {
  readonly table: number;
  readonly key: Uint8Array;
  /** Of a tombstone empty. */
  readonly value: Uint8Array;
  /** Of a tombstone: the latest expiry it covers, without the skew, as `remove` takes it. */
  readonly expiresAt: number;
  readonly version: Uint8Array;
  readonly tombstone: boolean;
}

export const KEY_BYTES_MAX = 255;
export const VALUE_BYTES_MAX = 65_535;
/** Seconds are kept in 32 bits: February 2106. A later expiry is brought forward to this. */
export const EXPIRES_AT_MAX = 0xffff_ffff * 1000;
/** Entries leave in groups that end with a second: fewer wake-ups, equal digests. */
export const GROUP_MS = 1000;

export const GAP = 1;
export const RECORD = 2;
export const TOMBSTONE = 3;

const COVERS = 4;
const EXPIRES_AT = 8;
export const BUCKET = 14;
export const DIGEST = 15;
export const VERSION = 23;
const TABLE = 39;
export const KEY = 40;

export function entryBytes(keyBytes: number, valueBytes: number): number {
  return (KEY + keyBytes + valueBytes + 7) & ~7;
}

/** Appends at `segment.end`, whose bytes are zero; digest and bucket are left to the digests. */
export function writeEntry(
  segment: Segment,
  state: typeof RECORD | typeof TOMBSTONE,
  table: number,
  key: Uint8Array,
  value: Uint8Array,
  expiresAt: number,
  covers: number,
  version: Uint8Array,
): void {
  const { bytes, view, end: at } = segment;
  view.setUint32(at, state | (key.length << 8) | (value.length << 16), true);
  view.setUint32(at + COVERS, covers, true);
  view.setUint32(at + EXPIRES_AT, expiresAt >>> 0, true);
  view.setUint16(at + EXPIRES_AT + 4, expiresAt / 0x1_0000_0000, true);
  bytes.set(version, at + VERSION);
  bytes[at + TABLE] = table;
  bytes.set(key, at + KEY);
  bytes.set(value, at + KEY + key.length);
}

/** Turns an entry into a tombstone where it lies; answers how many bytes became a gap behind it. */
export function buryEntry(segment: Segment, at: number, version: Uint8Array, covers: number) {
  const { bytes, view } = segment;
  const sizeBytes = sizeAt(view, at);
  const keyBytes = bytes[at + 1]!;
  const leftBytes = entryBytes(keyBytes, 0);
  bytes.fill(0, at + KEY + keyBytes, at + sizeBytes);
  bytes.fill(0, at + EXPIRES_AT, at + BUCKET);
  view.setUint32(at, TOMBSTONE | (keyBytes << 8), true);
  view.setUint32(at + COVERS, covers, true);
  bytes.set(version, at + VERSION);
  if (leftBytes < sizeBytes) writeGap(segment, at + leftBytes, sizeBytes - leftBytes);
  return sizeBytes - leftBytes;
}

/** Leaves a gap where an entry was; its bytes, which are secrets, become zero. */
export function writeGap(segment: Segment, at: number, sizeBytes: number): void {
  segment.bytes.fill(0, at, at + sizeBytes);
  segment.view.setUint32(at, GAP, true);
  segment.view.setUint32(at + COVERS, sizeBytes, true);
}

export function stateAt(view: DataView, at: number): number {
  return view.getUint8(at);
}

/** Of an entry or a gap: the next one begins behind it. */
export function sizeAt(view: DataView, at: number): number {
  const word = view.getUint32(at, true);
  if ((word & 0xff) === GAP) return view.getUint32(at + COVERS, true);
  return entryBytes((word >>> 8) & 0xff, word >>> 16);
}

/** Where the entry's last byte was: of the value, or of a tombstone's key. */
export function contentEndAt(view: DataView, at: number): number {
  const word = view.getUint32(at, true);
  return at + KEY + ((word >>> 8) & 0xff) + (word >>> 16);
}

export function expiresAtAt(view: DataView, at: number): number {
  return (
    view.getUint32(at + EXPIRES_AT, true) +
    view.getUint16(at + EXPIRES_AT + 4, true) * 0x1_0000_0000
  );
}

/**
 * The latest expiry, in whole seconds since 1970, of all versions of the key that were seen: while
 * one that this entry supersedes could still be alive elsewhere, the entry or its tombstone stays.
 */
export function coversAt(view: DataView, at: number): number {
  return view.getUint32(at + COVERS, true);
}

export function writeCovers(view: DataView, at: number, covers: number): void {
  view.setUint32(at + COVERS, covers, true);
}

/** The group's end, in seconds, for an expiry in milliseconds. */
export function groupEnd(expiresAt: number): number {
  return Math.ceil(expiresAt / GROUP_MS);
}

export function versionAt(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.slice(at + VERSION, at + VERSION + VERSION_BYTES);
}

/** Negative when the entry is older than `version`. */
export function compareAt(bytes: Uint8Array, at: number, version: Uint8Array): number {
  return compareVersionAt(bytes, at + VERSION, version);
}

export function tableAt(bytes: Uint8Array, at: number): number {
  return bytes[at + TABLE]!;
}

export function keyEquals(bytes: Uint8Array, at: number, table: number, key: Uint8Array): boolean {
  const length = key.length;
  if (bytes[at + TABLE] !== table || bytes[at + 1] !== length) return false;
  for (let i = 0; i < length; i += 1) if (bytes[at + KEY + i] !== key[i]) return false;
  return true;
}

export function valueAt(segment: Segment, at: number): Uint8Array {
  const from = at + KEY + segment.bytes[at + 1]!;
  return segment.bytes.slice(from, contentEndAt(segment.view, at));
}

export function recordAt(segment: Segment, at: number): CacheRecord {
  const { bytes, view } = segment;
  const tombstone = stateAt(view, at) === TOMBSTONE;
  return {
    table: tableAt(bytes, at),
    key: bytes.slice(at + KEY, at + KEY + bytes[at + 1]!),
    value: valueAt(segment, at),
    expiresAt: tombstone ? coversAt(view, at) * GROUP_MS : expiresAtAt(view, at),
    version: versionAt(bytes, at),
    tombstone,
  };
}
