/** Before anything was measured. */
const START_MS = 200;
/** Receipts may be so much later than what they receipt, and timers are a few ms late. */
const GRANULARITY_MS = 10;
const TIMEOUT_MAX_MS = 2_000;

/** How long the way there and back takes, smoothed as in RFC 6298 §2. */
export class RoundTrips {
  #smoothedMs = 0;
  #variationMs = 0;
  #measured = false;

  measured(roundTripMs: number): void {
    if (this.#measured) {
      const off = Math.abs(this.#smoothedMs - roundTripMs);
      this.#variationMs += (off - this.#variationMs) / 4;
      this.#smoothedMs += (roundTripMs - this.#smoothedMs) / 8;
    } else {
      this.#smoothedMs = roundTripMs;
      this.#variationMs = roundTripMs / 2;
      this.#measured = true;
    }
  }

  get smoothedMs(): number {
    return this.#measured ? this.#smoothedMs : START_MS;
  }

  /** What nearly every answer takes at most; never below `floorMs`. */
  timeoutMs(floorMs: number): number {
    const variation = Math.max(GRANULARITY_MS, 4 * this.#variationMs);
    const expected = this.#measured ? this.#smoothedMs + variation : START_MS;
    return Math.min(TIMEOUT_MAX_MS, Math.max(floorMs, expected));
  }
}
