import assert from 'node:assert/strict';

/** Whether the entry at a location has this table and key. */
export type Matches = (location: number, table: number, key: Uint8Array) => boolean;

/**
 * From hash to location: open addressing in pages of integers, linear probes in Robin Hood order
 * (who has come further stays), so that a miss ends early and deletion shifts back instead of
 * leaving marks. The hash's first bits choose the page, its last bits the slot; a full page splits
 * in two (extendible hashing, Fagin et al. 1979), which bounds the longest step of growth to one
 * page. The index never shrinks: 10 to 20 bytes for each of the most entries ever held.
 *
 * A slot is two signed words: the hash, which is the tag, and the location, 0 for an empty slot.
 */
export class SlotIndex {
  readonly #matches: Matches;
  #depth = 1;
  #directory: Int32Array[] = [newPage(1), newPage(1)];

  constructor(matches: Matches) {
    this.#matches = matches;
  }

  /** 0 when there is none. */
  find(hash: number, table: number, key: Uint8Array): number {
    const page = this.#page(hash);
    for (let slot = hash & SLOT_MASK, distance = 0; ; distance += 1) {
      const location = page[2 * slot + 1]!;
      if (location === 0) return 0;
      const resident = page[2 * slot]!;
      if (resident === hash) {
        if (this.#matches(location, table, key)) return location;
      } else if (((slot - resident) & SLOT_MASK) < distance) return 0;
      slot = (slot + 1) & SLOT_MASK;
    }
  }

  /** The key must not be there yet. False: a probe is past PROBE_MAX, the hash does not spread. */
  insert(hash: number, location: number): boolean {
    let page = this.#page(hash);
    while (page[USED]! >= PAGE_SLOTS_FULL) {
      this.#split(hash);
      page = this.#page(hash);
    }
    return place(page, hash, location) <= PROBE_MAX;
  }

  /** The entry has moved. */
  move(hash: number, from: number, to: number): void {
    const page = this.#page(hash);
    page[2 * slotOf(page, hash, from) + 1] = to;
  }

  remove(hash: number, location: number): void {
    const page = this.#page(hash);
    let slot = slotOf(page, hash, location);
    for (;;) {
      const next = (slot + 1) & SLOT_MASK;
      const follower = page[2 * next]!;
      if (page[2 * next + 1] === 0 || ((next - follower) & SLOT_MASK) === 0) break;
      page[2 * slot] = follower;
      page[2 * slot + 1] = page[2 * next + 1]!;
      slot = next;
    }
    page[2 * slot] = 0;
    page[2 * slot + 1] = 0;
    page[USED]! -= 1;
  }

  /** Slots looked at for the entry that is furthest from its own; a walk over all pages. */
  longestProbe(): number {
    let longest = 0;
    for (const page of this.#directory) {
      for (let slot = 0; slot < PAGE_SLOTS; slot += 1) {
        if (page[2 * slot + 1] === 0) continue;
        longest = Math.max(longest, 1 + ((slot - page[2 * slot]!) & SLOT_MASK));
      }
    }
    return longest;
  }

  #page(hash: number): Int32Array {
    return this.#directory[hash >>> (32 - this.#depth)]!;
  }

  #split(hash: number): void {
    const full = this.#page(hash);
    const depth = full[DEPTH]!;
    assert(depth < DEPTH_MAX, 'the hash does not spread keys');
    if (depth === this.#depth) {
      this.#directory = this.#directory.flatMap((page) => [page, page]);
      this.#depth += 1;
    }
    const lower = newPage(depth + 1);
    const upper = newPage(depth + 1);
    for (let slot = 0; slot < PAGE_SLOTS; slot += 1) {
      const resident = full[2 * slot]!;
      const half = resident << depth >= 0 ? lower : upper;
      if (full[2 * slot + 1] !== 0) place(half, resident, full[2 * slot + 1]!);
    }
    const span = 2 ** (this.#depth - depth);
    const first = (hash >>> (32 - depth)) * span;
    this.#directory.fill(lower, first, first + span / 2);
    this.#directory.fill(upper, first + span / 2, first + span);
  }
}

/** 8 KiB: split in about 10 µs. */
const PAGE_SLOTS = 1024;
const SLOT_MASK = PAGE_SLOTS - 1;
/** Robin Hood probes stay short up to here; lower wastes memory, higher grows the longest probe. */
const PAGE_SLOTS_FULL = (PAGE_SLOTS * 13) / 16;
/** Far beyond what chance brings (about 40 at that load): then somebody knows the hash. */
export const PROBE_MAX = 128;
/** 2^22 pages of 1024 slots use every bit of the hash. */
const DEPTH_MAX = 22;
/** Behind the slots. */
const USED = 2 * PAGE_SLOTS;
const DEPTH = USED + 1;

function newPage(depth: number): Int32Array {
  const page = new Int32Array(new SharedArrayBuffer(4 * (DEPTH + 1)));
  page[DEPTH] = depth;
  return page;
}

/** Answers the longest probe that it made. */
function place(page: Int32Array, hash: number, location: number): number {
  let longest = 0;
  page[USED]! += 1;
  for (let slot = hash & SLOT_MASK, distance = 0; ; distance += 1) {
    if (distance > longest) longest = distance;
    const settled = page[2 * slot + 1]!;
    if (settled === 0) {
      page[2 * slot] = hash;
      page[2 * slot + 1] = location;
      return longest;
    }
    const resident = page[2 * slot]!;
    const residentDistance = (slot - resident) & SLOT_MASK;
    if (residentDistance < distance) {
      page[2 * slot] = hash;
      page[2 * slot + 1] = location;
      hash = resident;
      location = settled;
      distance = residentDistance;
    }
    slot = (slot + 1) & SLOT_MASK;
  }
}

function slotOf(page: Int32Array, hash: number, location: number): number {
  let slot = hash & SLOT_MASK;
  for (let probes = 0; page[2 * slot + 1] !== location; probes += 1) {
    assert(probes < PAGE_SLOTS, 'the index has lost an entry');
    slot = (slot + 1) & SLOT_MASK;
  }
  return slot;
}
