import assert from 'node:assert/strict';

/** One piece of the log: entries are appended at `end`, and never leave it for another. */
export interface Segment {
  /** Names it in locations, from 1. */
  readonly number: number;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  /** Its place in the log; greater than any before it, also than its own former life's. */
  serial: number;
  /** Bytes behind it are zero. */
  end: number;
  /** Bytes of entries that are not gaps. */
  live: number;
  /** No entry in it is due before this wall time. */
  dueAt: number;
  /** Entries may be appended. */
  open: boolean;
  /** Rises when entries slide together: offsets from before mean nothing then. */
  edition: number;
  /** Where scans will go on in it; kept right when entries slide, at most 16. */
  readers: Reader[];
}

/** A place in a segment: of the next entry to read, and where to stop. */
export interface Reader {
  edition: number;
  offset: number;
  /** Infinity until entries slide, then where they ended: sliding makes room without end. */
  stop: number;
}

/**
 * The memory: segments of one size, each for entries with about the same time left to live
 * (Segcache's TTL buckets: the width of a group grows with its time), so that most segments fall
 * empty at once. Where memory is short, any open segment takes any entry.
 *
 * A location is a segment's number and an offset in units of 8 bytes: 31 bits.
 */
export class Segments {
  readonly segmentBytes: number;
  readonly maximum: number;
  /** In the order of their serials. */
  readonly log: Segment[] = [];
  /** Of all segments; no entry is due before it. */
  dueAt = Infinity;
  readonly #shift: number;
  readonly #mask: number;
  readonly #all: Segment[] = [];
  readonly #free: Segment[] = [];
  readonly #open: (Segment | undefined)[] = Array.from({ length: 32 * SHARES });
  #serial = 0;

  constructor(options: { capacityBytes: number; segmentBytes: number }) {
    const { capacityBytes, segmentBytes } = options;
    this.segmentBytes = segmentBytes;
    this.#shift = Math.log2(segmentBytes / UNIT_BYTES);
    this.#mask = segmentBytes / UNIT_BYTES - 1;
    this.maximum = Math.floor(capacityBytes / segmentBytes);
    assert(Number.isInteger(this.#shift) && segmentBytes >= 1024, 'segmentBytes: a power of two');
    assert(this.maximum >= 4, 'capacityBytes: at least four segments');
    assert(capacityBytes <= CAPACITY_BYTES_MAX, 'capacityBytes: at most 16 GiB');
  }

  of(location: number): Segment {
    return this.#all[(location >>> this.#shift) - 1]!;
  }

  offset(location: number): number {
    return (location & this.#mask) * UNIT_BYTES;
  }

  location(segment: Segment, at: number): number {
    return (segment.number << this.#shift) | (at / UNIT_BYTES);
  }

  /** A segment with `sizeBytes` of room, best one for entries that live `lifeMs` more. */
  room(sizeBytes: number, lifeMs: number): Segment | undefined {
    const lifetime = lifetimeClass(lifeMs);
    const open = this.#open[lifetime];
    if (open && this.#fits(open, sizeBytes)) return open;
    if (this.#free.length > 0 || this.#all.length < this.maximum) return this.#begin(lifetime);
    return this.#open.find((other) => other && this.#fits(other, sizeBytes));
  }

  /** The entry at `segment.end` was written. */
  extend(segment: Segment, sizeBytes: number, dueAt: number): void {
    segment.end += sizeBytes;
    segment.live += sizeBytes;
    this.expect(segment, dueAt);
  }

  /** An entry in the segment is due then. */
  expect(segment: Segment, dueAt: number): void {
    if (dueAt < segment.dueAt) segment.dueAt = dueAt;
    if (dueAt < this.dueAt) this.dueAt = dueAt;
  }

  /** After segments' own times were renewed, or segments freed. */
  renewDueAt(): void {
    let dueAt = Infinity;
    for (const segment of this.log) if (segment.dueAt < dueAt) dueAt = segment.dueAt;
    this.dueAt = dueAt;
  }

  /** Appends nothing more to it; answers whether it was empty and is free now. */
  close(segment: Segment): boolean {
    if (segment.open) {
      segment.open = false;
      this.#open[this.#open.indexOf(segment)] = undefined;
    }
    return this.freeIfEmpty(segment);
  }

  /** Frees it if nothing lives there and nothing more comes. Its bytes, secrets, become zero. */
  freeIfEmpty(segment: Segment): boolean {
    if (segment.open || segment.live > 0) return false;
    segment.bytes.fill(0, 0, segment.end);
    this.log.splice(this.indexFrom(segment.serial), 1);
    segment.end = 0;
    segment.dueAt = Infinity;
    segment.readers = [];
    this.#free.push(segment);
    return true;
  }

  /** The segment that least lives in. */
  emptiest(): Segment | undefined {
    let found: Segment | undefined;
    for (const segment of this.log) if (!found || segment.live < found.live) found = segment;
    return found;
  }

  /** Its entries were slid together: appends again, to those that live `lifeMs` more. */
  reopen(segment: Segment, lifeMs: number): void {
    if (segment.open) this.#open[this.#open.indexOf(segment)] = undefined;
    this.#appendTo(segment, lifetimeClass(lifeMs));
  }

  /** The place in `log` of the first segment with this serial or a later one. */
  indexFrom(serial: number): number {
    let low = 0;
    let high = this.log.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.log[middle]!.serial < serial) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** All memory that was ever taken, the free segments included. */
  buffers(): SharedArrayBuffer[] {
    return this.#all.map((segment) => segment.bytes.buffer);
  }

  #fits(segment: Segment, sizeBytes: number): boolean {
    return this.segmentBytes - segment.end >= sizeBytes;
  }

  #begin(lifetime: number): Segment {
    const segment = this.#free.pop() ?? this.#allocate();
    this.#serial += 1;
    segment.serial = this.#serial;
    this.log.push(segment);
    this.#appendTo(segment, lifetime);
    return segment;
  }

  #appendTo(segment: Segment, lifetime: number): void {
    const former = this.#open[lifetime];
    if (former) this.close(former);
    segment.open = true;
    this.#open[lifetime] = segment;
  }

  #allocate(): Segment {
    const memory = new SharedArrayBuffer(this.segmentBytes);
    const segment: Segment = {
      number: this.#all.length + 1,
      bytes: new Uint8Array(memory),
      view: new DataView(memory),
      serial: 0,
      end: 0,
      live: 0,
      dueAt: Infinity,
      open: false,
      edition: 0,
      readers: [],
    };
    this.#all.push(segment);
    return segment;
  }
}

const UNIT_BYTES = 8;
const CAPACITY_BYTES_MAX = 2 ** 31 * UNIT_BYTES - 2 ** 20;
/** Groups for each doubling of the time left. */
const SHARES = 4;
const CLASS_UNIT_MS = 250;

function lifetimeClass(lifeMs: number): number {
  const units = Math.max(SHARES, Math.min(lifeMs / CLASS_UNIT_MS, 0x7fff_ffff)) | 0;
  const octave = 31 - Math.clz32(units);
  return octave * SHARES + ((units >>> (octave - 2)) & (SHARES - 1));
}
