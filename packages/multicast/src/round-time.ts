/** Before anything was measured. */
const START_MS = 5;
const START_TIMEOUT_MS = 25;
/** Acknowledgements that nobody waits for are 5 ms late, and timers are late too. */
const GRANULARITY_MS = 10;
const TIMEOUT_MAX_MS = 500;
const DOUBLINGS_MAX = 4;

/** The time from sending a segment to its acknowledgement, smoothed as in RFC 6298 §2. */
export class RoundTime {
  #ms = START_MS;
  #variationMs = 0;
  #measured = false;
  /** Of the time-out, since the last measure. */
  #doublings = 0;
  #doubledAt = -Infinity;

  get ms(): number {
    return this.#ms;
  }

  /** How long an acknowledgement is waited for after so many transmissions of a segment. */
  waitMs(transmissions: number): number {
    const doublings = Math.max(this.#doublings, transmissions - 1);
    return this.#timeoutMs * 2 ** Math.min(DOUBLINGS_MAX, doublings);
  }

  /**
   * A segment that was sent at that time has waited in vain. Until there is a measure again all
   * wait longer: were the time too short, what is sent again would never give one.
   */
  timedOut(sentAt: number, now: number): void {
    if (sentAt < this.#doubledAt) return;
    this.#doubledAt = now;
    this.#doublings += 1;
  }

  /** Of a segment that was sent once only (Karn and Partridge 1987). */
  measured(roundMs: number): void {
    this.#doublings = 0;
    if (this.#measured) {
      this.#variationMs += (Math.abs(roundMs - this.#ms) - this.#variationMs) / 4;
      this.#ms += (roundMs - this.#ms) / 8;
      return;
    }
    this.#measured = true;
    this.#variationMs = roundMs / 2;
    this.#ms = roundMs;
  }

  get #timeoutMs(): number {
    if (!this.#measured) return START_TIMEOUT_MS;
    return Math.min(TIMEOUT_MAX_MS, this.#ms + Math.max(GRANULARITY_MS, 4 * this.#variationMs));
  }
}
