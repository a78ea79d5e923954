import { RECEIVE_WINDOW } from './inbound.ts';

/** Listeners have so long to ask for what all who acknowledge have applied. */
const KEPT_MS = 3_000;
const KEPT_BYTES = 16 * 1024 * 1024;

export interface SentSegment {
  readonly body: Uint8Array;
  readonly firstSentAt: number;
  lastSentAt: number;
  transmissions: number;
}

/** What has left and may have to be sent again, oldest first. */
export class SentSegments {
  readonly #segments = new Map<number, SentSegment>();
  #bytes = 0;
  #settled = 0;

  get size(): number {
    return this.#segments.size;
  }

  /** The sequence of the oldest that is kept; undefined if none is. */
  get oldest(): number | undefined {
    return this.#segments.keys().next().value;
  }

  get(sequence: number): SentSegment | undefined {
    return this.#segments.get(sequence);
  }

  /** In sequence. */
  add(sequence: number, body: Uint8Array, now: number): void {
    const segment = { body, firstSentAt: now, lastSentAt: now, transmissions: 1 };
    this.#segments.set(sequence, segment);
    this.#bytes += body.length;
  }

  /**
   * All who acknowledge have applied what is up to there: it is freed, but for what listeners may
   * still ask for, if there are any. Answers how many segments that was true of for the first time.
   */
  settle(upTo: number, listened: boolean, now: number): number {
    const newly = Math.max(0, upTo - this.#settled);
    this.#settled += newly;
    for (const [sequence, { body, firstSentAt }] of this.#segments) {
      const fits = this.#bytes <= KEPT_BYTES && this.#segments.size <= RECEIVE_WINDOW;
      const kept = listened && fits && now - firstSentAt < KEPT_MS;
      if (sequence > upTo || kept) break;
      this.#segments.delete(sequence);
      this.#bytes -= body.length;
    }
    return newly;
  }

  clear(): void {
    this.#segments.clear();
    this.#bytes = 0;
    this.#settled = 0;
  }
}
