import type { Data, Item } from './data.ts';
import { GAP_COUNT_MAX, GAPS_MAX, type Gap } from './gaps.ts';

/** Segments that may wait for an earlier one. */
export const RECEIVE_WINDOW = 1024;
export const MESSAGE_BYTES_MAX = 1024 * 1024;

export type Reception = 'new' | 'duplicate' | 'beyond window';

/**
 * What `poll` gives: a message, or a segment's end, after which its position counts as applied;
 * `whole`: what no message began before and ends after.
 */
type Ready = { readonly message: Uint8Array } | { readonly end: number; readonly whole: number };

/**
 * One member's stream as it arrives here: put in order, fragments joined. A message counts as
 * applied once `poll` is called again, so whoever polls applies before it polls on.
 */
export class Inbound {
  /** The stream is followed from after this sequence. */
  readonly joinedAt: number;
  #received: number;
  #applied: number;
  #whole: number;
  #highest: number;
  #newest: number;
  #malformed = 0;
  readonly #waiting = new Map<number, Data>();
  #ready: Ready[] = [];
  #readyHead = 0;
  /** Until then there may be the rest of a message that began before `joinedAt`. */
  #begun = false;
  #fragments: Uint8Array[] = [];
  /** The segment in which they begin. */
  #fragmentsAt = 0;
  #fragmentBytes = 0;

  /** What came before `joinedAt` is state transfer's part. */
  constructor(joinedAt: number) {
    this.joinedAt = joinedAt;
    this.#received = joinedAt;
    this.#applied = joinedAt;
    this.#whole = joinedAt;
    this.#highest = joinedAt;
    this.#newest = joinedAt;
  }

  /** Every segment up to here has arrived. applied <= received <= highest. */
  get received(): number {
    return this.#received;
  }

  /** Every message that ends up to here was taken by `poll`, and polled past. */
  get applied(): number {
    return this.#applied;
  }

  /**
   * Every message that *begins* up to here was taken by `poll`, and polled past: who follows the
   * stream from here on misses nothing that was not applied here. At most `applied`.
   */
  get whole(): number {
    return this.#whole;
  }

  /** The highest sequence that has come itself, kept or not. */
  get newest(): number {
    return this.#newest;
  }

  get incomplete(): boolean {
    return this.#received < this.#highest;
  }

  /** Is that segment known to exist, and not here? */
  misses(sequence: number): boolean {
    const within = sequence > this.#received && sequence <= this.#highest;
    return within && !this.#waiting.has(sequence);
  }

  /** Messages refused because their fragments made no whole. */
  get malformed(): number {
    return this.#malformed;
  }

  accept(data: Data): Reception {
    this.#newest = Math.max(this.#newest, data.sequence);
    if (data.sequence <= this.#received || this.#waiting.has(data.sequence)) return 'duplicate';
    if (data.sequence > this.#received + RECEIVE_WINDOW) return 'beyond window';
    this.#highest = Math.max(this.#highest, data.sequence);
    this.#waiting.set(data.sequence, data);
    this.#advance();
    return 'new';
  }

  /** Takes what is next as long as it is here. */
  #advance(): void {
    for (;;) {
      const next = this.#waiting.get(this.#received + 1);
      if (!next) return;
      this.#waiting.delete(next.sequence);
      this.#received = next.sequence;
      for (const item of next.items) this.#take(item, next.sequence);
      const whole = this.#fragments.length > 0 ? this.#fragmentsAt - 1 : next.sequence;
      this.#ready.push({ end: next.sequence, whole });
    }
  }

  /** The sender says that its stream reaches so far. */
  extend(highest: number): void {
    const bound = this.#received + RECEIVE_WINDOW;
    this.#highest = Math.max(this.#highest, Math.min(highest, bound));
  }

  /** What came before `oldest` comes no more. True if any of it was missing: it is passed over. */
  skipTo(oldest: number): boolean {
    if (oldest <= this.#received + 1) return false;
    for (const sequence of this.#waiting.keys()) {
      if (sequence < oldest) this.#waiting.delete(sequence);
    }
    this.#received = oldest - 1;
    this.#highest = Math.max(this.#highest, this.#received);
    this.#begun = false;
    this.#fragments = [];
    this.#ready.push({ end: this.#received, whole: this.#received });
    this.#advance();
    return true;
  }

  poll(): Uint8Array | undefined {
    for (;;) {
      const ready = this.#ready[this.#readyHead];
      if (!ready) {
        this.#ready = [];
        this.#readyHead = 0;
        return undefined;
      }
      this.#readyHead += 1;
      if ('message' in ready) return ready.message;
      this.#applied = ready.end;
      this.#whole = ready.whole;
    }
  }

  gaps(): Gap[] {
    const gaps: Gap[] = [];
    let first = 0;
    for (let sequence = this.#received + 1; sequence <= this.#highest + 1; sequence += 1) {
      const missing = sequence <= this.#highest && !this.#waiting.has(sequence);
      if (missing && first === 0) first = sequence;
      if (!missing && first > 0) {
        gaps.push({ first, count: Math.min(GAP_COUNT_MAX, sequence - first) });
        first = 0;
        if (gaps.length === GAPS_MAX) return gaps;
      }
    }
    return gaps;
  }

  #take(item: Item, sequence: number): void {
    if (item.first) {
      this.#begun = true;
      this.#fragmentsAt = sequence;
      if (this.#fragments.length > 0) this.#malformed += 1;
      this.#fragments = [];
      this.#fragmentBytes = 0;
    } else if (this.#fragments.length === 0) {
      if (this.#begun) this.#malformed += 1;
      return;
    }
    this.#fragments.push(item.bytes);
    this.#fragmentBytes += item.bytes.length;
    if (this.#fragmentBytes > MESSAGE_BYTES_MAX) {
      this.#malformed += 1;
      this.#fragments = [];
    } else if (item.last) {
      const [only] = this.#fragments;
      const whole = this.#fragments.length === 1 && only ? only : Buffer.concat(this.#fragments);
      this.#ready.push({ message: whole });
      this.#fragments = [];
    }
  }
}
