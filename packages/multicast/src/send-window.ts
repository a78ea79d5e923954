/** Bounds of the window over the slowest receiver's applied position, in segments. */
const WINDOW_MIN = 4;
const WINDOW_MAX = 256;
const WINDOW_START = 32;
const SHRINK = 0.7;
/** Own segments that may be out and not yet back. */
const OWN_OUTSTANDING_MAX = 16;
/** An own copy that is not back by then was lost in the local input path. */
const OWN_TIMEOUT_MS = 50;
const ROUND_START_MS = 5;
const TIMEOUT_MIN_MS = 25;
const TIMEOUT_MAX_MS = 500;

/**
 * When the next segment may leave: self-receipt (FIG. 10B: own segments must come back first) and a
 * window over what the slowest receiver has applied. Self-receipt by itself measures the local
 * input path only; the window is what sees the wire and the peers.
 */
export class SendWindow {
  ownLost = 0;
  #size = WINDOW_START;
  #advancedBy = 0;
  #roundMs = ROUND_START_MS;
  #shrunkAt = -Infinity;
  readonly #ownOutstanding = new Map<number, number>();

  get size(): number {
    return this.#size;
  }

  /** Smoothed time from sending a segment to its last acknowledgement. */
  get roundMs(): number {
    return this.#roundMs;
  }

  /** How long an acknowledgement is waited for before a segment is sent again. */
  get timeoutMs(): number {
    return Math.min(TIMEOUT_MAX_MS, Math.max(TIMEOUT_MIN_MS, 4 * this.#roundMs));
  }

  get ownTimeoutAt(): number {
    for (const sentAt of this.#ownOutstanding.values()) return sentAt + OWN_TIMEOUT_MS;
    return Infinity;
  }

  open(inFlight: number): boolean {
    return inFlight < this.#size && this.#ownOutstanding.size < OWN_OUTSTANDING_MAX;
  }

  sent(sequence: number, now: number): void {
    this.#ownOutstanding.set(sequence, now);
  }

  ownReturned(sequence: number): void {
    this.#ownOutstanding.delete(sequence);
  }

  expireOwn(now: number): void {
    for (const [sequence, sentAt] of this.#ownOutstanding) {
      if (sentAt + OWN_TIMEOUT_MS > now) return;
      this.#ownOutstanding.delete(sequence);
      this.ownLost += 1;
    }
  }

  measured(roundMs: number): void {
    this.#roundMs += (roundMs - this.#roundMs) / 8;
  }

  /** One more segment was applied by all: a whole window of them widens it by one. */
  advanced(): void {
    this.#advancedBy += 1;
    if (this.#advancedBy < this.#size) return;
    this.#advancedBy = 0;
    this.#size = Math.min(WINDOW_MAX, this.#size + 1);
  }

  /** At most one shrink a round, however many segments that round lost. */
  repaired(now: number): void {
    if (now - this.#shrunkAt < this.#roundMs) return;
    this.#shrunkAt = now;
    this.#size = Math.max(WINDOW_MIN, Math.floor(this.#size * SHRINK));
  }

  restart(): void {
    this.#ownOutstanding.clear();
  }
}
