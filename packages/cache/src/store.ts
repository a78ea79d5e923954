import { BuzHash } from './buz-hash.ts';
import { Digests } from './digests.ts';
import {
  buryEntry,
  coversAt,
  expiresAtAt,
  GAP,
  GROUP_MS,
  groupEnd,
  KEY,
  keyEquals,
  RECORD,
  sizeAt,
  stateAt,
  tableAt,
  TOMBSTONE,
  writeGap,
} from './entry.ts';
import { type Segment, Segments } from './segments.ts';
import { SlotIndex } from './slot-index.ts';

export interface StoreOptions {
  readonly capacityBytes: number;
  readonly segmentBytes: number;
  readonly digestKey: Uint8Array;
  readonly random: (sizeBytes: number) => Uint8Array;
  readonly tombstoneSkewMs: number;
}

/** Segments, index and digests, kept in step; what versions mean is not known here. */
export class Store {
  records = 0;
  tombstones = 0;
  /** Of entries; what gaps and unused ends take is not in it. */
  bytes = 0;
  readonly segments: Segments;
  readonly digests: Digests;
  readonly #random: (sizeBytes: number) => Uint8Array;
  readonly #tombstoneSkewMs: number;
  #hash: BuzHash;
  #index: SlotIndex;
  /** Compaction could not gain so much, and nothing has died since. */
  #exhausted = Infinity;

  constructor(options: StoreOptions) {
    this.segments = new Segments(options);
    this.digests = new Digests(options.digestKey);
    this.#random = options.random;
    this.#tombstoneSkewMs = options.tombstoneSkewMs;
    this.#hash = new BuzHash(this.#random);
    this.#index = new SlotIndex(this.#matches);
  }

  /** A location, or 0. It holds until an entry is added or memory compacted. */
  find(table: number, key: Uint8Array): number {
    return this.#index.find(this.#hash.hash(table, key, 0, key.length), table, key);
  }

  /** Takes in the entry just written at `segment.end`, in place of the one at `former`, if any. */
  enter(segment: Segment, former: number): void {
    const { segments } = this;
    const at = segment.end;
    const location = segments.location(segment, at);
    this.digests.enter(segment, at);
    const sizeBytes = sizeAt(segment.view, at);
    segments.extend(segment, sizeBytes, this.dueAt(segment.view, at));
    this.bytes += sizeBytes;
    this.#count(segment.view, at, 1);
    if (former === 0) {
      if (!this.#index.insert(this.#hashAt(segment, at), location)) this.#redraw();
      return;
    }
    this.#index.move(this.#hashAt(segment, at), former, location);
    const formerSegment = segments.of(former);
    this.#erase(formerSegment, segments.offset(former));
    segments.freeIfEmpty(formerSegment);
  }

  /** The caller frees the segment if that leaves it empty. */
  drop(segment: Segment, at: number): void {
    this.#index.remove(this.#hashAt(segment, at), this.segments.location(segment, at));
    this.#erase(segment, at);
  }

  /** Makes a tombstone of an entry where it lies, so that a deletion needs no memory. */
  bury(segment: Segment, at: number, version: Uint8Array, covers: number): void {
    this.digests.leave(segment, at);
    this.#count(segment.view, at, -1);
    const gapBytes = buryEntry(segment, at, version, covers);
    this.digests.enter(segment, at);
    this.#count(segment.view, at, 1);
    this.#release(segment, gapBytes);
    this.segments.expect(segment, this.dueAt(segment.view, at));
  }

  /** When the entry leaves: the end of its group. */
  dueAt(view: DataView, at: number): number {
    if (stateAt(view, at) === RECORD) return groupEnd(expiresAtAt(view, at)) * GROUP_MS;
    return this.tombstoneEnd(coversAt(view, at));
  }

  tombstoneEnd(covers: number): number {
    return groupEnd(covers * GROUP_MS + this.#tombstoneSkewMs) * GROUP_MS;
  }

  /**
   * Slides the entries of the emptiest segment together and appends to it again. It must gain a
   * sixteenth of a segment: less would move too much for it. False: there is no such segment.
   */
  compact(sizeBytes: number, lifeMs: number): boolean {
    const { segments } = this;
    const wanted = Math.max(sizeBytes, segments.segmentBytes / GAIN_SHARE);
    if (wanted >= this.#exhausted) return false;
    const segment = segments.emptiest();
    if (!segment || segments.segmentBytes - segment.live < wanted) {
      this.#exhausted = wanted;
      return false;
    }
    this.#slide(segment);
    segments.reopen(segment, lifeMs);
    return true;
  }

  /** So much is held before an entry of this size, or a smaller one, can be refused. */
  assuredBytes(sizeBytes: number): number {
    const { segmentBytes, maximum } = this.segments;
    return maximum * (segmentBytes - Math.max(sizeBytes, segmentBytes / GAIN_SHARE));
  }

  longestProbe(): number {
    return this.#index.longestProbe();
  }

  readonly #matches = (location: number, table: number, key: Uint8Array): boolean => {
    return keyEquals(this.segments.of(location).bytes, this.segments.offset(location), table, key);
  };

  #hashAt({ bytes }: Segment, at: number): number {
    return this.#hash.hash(tableAt(bytes, at), bytes, at + KEY, at + KEY + bytes[at + 1]!);
  }

  #erase(segment: Segment, at: number): void {
    const { view } = segment;
    this.digests.leave(segment, at);
    this.#count(view, at, -1);
    const sizeBytes = sizeAt(view, at);
    writeGap(segment, at, sizeBytes);
    this.#release(segment, sizeBytes);
  }

  #release(segment: Segment, sizeBytes: number): void {
    segment.live -= sizeBytes;
    if (segment.live === 0) segment.dueAt = Infinity;
    this.bytes -= sizeBytes;
    this.#exhausted = Infinity;
  }

  #count(view: DataView, at: number, difference: number): void {
    if (stateAt(view, at) === TOMBSTONE) this.tombstones += difference;
    else this.records += difference;
  }

  #slide(segment: Segment): void {
    const { bytes, view, readers, end } = segment;
    let to = 0;
    for (let at = 0, sizeBytes = 0; at < end; at += sizeBytes) {
      sizeBytes = sizeAt(view, at);
      for (const reader of readers) {
        if (reader.offset === at) reader.offset = to;
        if (reader.stop === at) reader.stop = to;
      }
      if (stateAt(view, at) === GAP) continue;
      if (to < at) {
        const from = this.segments.location(segment, at);
        this.#index.move(this.#hashAt(segment, at), from, this.segments.location(segment, to));
        bytes.copyWithin(to, at, at + sizeBytes);
      }
      to += sizeBytes;
    }
    bytes.fill(0, to, end);
    segment.end = to;
    segment.edition += 1;
    for (const reader of readers) {
      reader.edition = segment.edition;
      if (reader.offset >= end) reader.offset = to;
      if (reader.stop >= end) reader.stop = to;
    }
  }

  /** A new hash for all keys: a stop of 0.2 µs an entry that chance does not bring about. */
  #redraw(): void {
    this.#hash = new BuzHash(this.#random);
    this.#index = new SlotIndex(this.#matches);
    for (const segment of this.segments.log) {
      const { view } = segment;
      for (let at = 0; at < segment.end; at += sizeAt(view, at)) {
        if (stateAt(view, at) === GAP) continue;
        this.#index.insert(this.#hashAt(segment, at), this.segments.location(segment, at));
      }
    }
  }
}

const GAIN_SHARE = 16;
