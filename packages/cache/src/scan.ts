import {
  BUCKET,
  type CacheRecord,
  expiresAtAt,
  GAP,
  RECORD,
  recordAt,
  sizeAt,
  stateAt,
  tableAt,
} from './entry.ts';
import type { Reader, Segment } from './segments.ts';
import type { Store } from './store.ts';

/** Where a scan goes on: only for the next call. */
export interface ScanCursor extends Reader {
  /** Of the segment. */
  readonly serial: number;
  /** The scan ends before this serial, so that it ends however much is written. */
  readonly endSerial: number;
}

/** A part of a scan. It may be empty while more is to come. */
export interface ScanPage {
  readonly records: readonly CacheRecord[];
  /** For the next call; undefined at the end. */
  readonly next: ScanCursor | undefined;
}

/**
 * Reads the log in the order of serials. Entries stay in their segments, and a segment that was
 * read is closed, so that what is written later lies ahead, but for segments that compaction opens
 * again.
 */
export function scan(
  store: Store,
  cursor: ScanCursor | undefined,
  buckets: Uint8Array | undefined,
  limitBytes: number,
  nowWall: number,
): ScanPage {
  const { log, maximum } = store.segments;
  const endSerial = cursor?.endSerial ?? (log.at(-1)?.serial ?? 0) + maximum;
  const records: CacheRecord[] = [];
  let bytes = 0;
  let visits = 0;
  let index = store.segments.indexFrom(cursor?.serial ?? 0);
  for (let segment = log[index]; segment && segment.serial < endSerial; segment = log[index]) {
    const { offset, stop } = enter(segment, cursor);
    const end = Math.min(segment.end, stop);
    for (let at = offset, sizeBytes = 0; at < end; at += sizeBytes) {
      sizeBytes = sizeAt(segment.view, at);
      visits += 1;
      const chosen = wanted(store, segment, at, buckets, nowWall);
      if (chosen) bytes += sizeBytes;
      if (visits > VISITS_MAX || (bytes > limitBytes && records.length > 0)) {
        return { records, next: leave(segment, at, stop, endSerial) };
      }
      if (chosen) records.push(recordAt(segment, at));
    }
    const last = index === log.length - 1;
    if (last || !store.segments.close(segment)) index += 1;
  }
  return { records, next: undefined };
}

export function list(store: Store, table: number, limit: number, nowWall: number): CacheRecord[] {
  const found: CacheRecord[] = [];
  for (const segment of store.segments.log) {
    const { bytes, view } = segment;
    for (let at = 0; at < segment.end && found.length < limit; at += sizeAt(view, at)) {
      if (stateAt(view, at) !== RECORD || tableAt(bytes, at) !== table) continue;
      if (expiresAtAt(view, at) > nowWall) found.push(recordAt(segment, at));
    }
  }
  return found;
}

function enter(segment: Segment, cursor: ScanCursor | undefined): Omit<Reader, 'edition'> {
  const known = cursor?.serial === segment.serial;
  if (known) segment.readers = segment.readers.filter((reader) => reader !== cursor);
  return known && cursor.edition === segment.edition ? cursor : { offset: 0, stop: Infinity };
}

function leave(segment: Segment, offset: number, stop: number, endSerial: number): ScanCursor {
  const { serial, edition, readers } = segment;
  const cursor = { serial, edition, offset, stop, endSerial };
  segment.readers = [...readers.slice(-READERS_MAX + 1), cursor];
  return cursor;
}

/** Of one segment. A scan beyond that may have to begin the segment again. */
const READERS_MAX = 16;
/** Entries looked at in one call; about a millisecond. */
const VISITS_MAX = 8192;

function wanted(
  store: Store,
  { bytes, view }: Segment,
  at: number,
  buckets: Uint8Array | undefined,
  nowWall: number,
): boolean {
  const state = stateAt(view, at);
  if (state === GAP) return false;
  if (state === RECORD ? expiresAtAt(view, at) <= nowWall : store.dueAt(view, at) <= nowWall) {
    return false;
  }
  const bucket = bytes[at + BUCKET]!;
  return !buckets || ((buckets[bucket >>> 3]! >>> (bucket & 7)) & 1) === 1;
}
