const START_MS = 5;
const SMOOTHING = 1 / 8;
const TIMEOUT_ROUNDS = 4;
const TIMEOUT_MIN_MS = 25;
const TIMEOUT_MAX_MS = 500;

/** Smoothed time from sending a segment to its acknowledgement. */
export class RoundTime {
  #ms = START_MS;

  get ms(): number {
    return this.#ms;
  }

  /** How long an acknowledgement is waited for before a segment is sent again. */
  get timeoutMs(): number {
    return Math.min(TIMEOUT_MAX_MS, Math.max(TIMEOUT_MIN_MS, TIMEOUT_ROUNDS * this.#ms));
  }

  /** Of a segment that was sent once only (Karn and Partridge 1987). */
  measured(roundMs: number): void {
    this.#ms += (roundMs - this.#ms) * SMOOTHING;
  }
}
