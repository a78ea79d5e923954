import { type Gate, OPEN } from './gate.ts';

/** Bounds, in segments. */
const SIZE_MIN = 4;
const SIZE_MAX = 256;
const SIZE_START = 32;
const SHRINK = 0.7;

/**
 * A window over the applied position of the slowest receiver: it sees the wire and the peers, and
 * nothing where nobody acknowledges. One segment wider after each round in which it was used and
 * nothing was repaired (RFC 7661 has why only then).
 */
export class AppliedWindow implements Gate {
  #size = SIZE_START;
  #advancedBy = 0;
  #used = false;
  #shrunkAt = -Infinity;

  get size(): number {
    return this.#size;
  }

  opensAt(inFlight: number): number {
    return inFlight < this.#size ? OPEN : Infinity;
  }

  /** `inFlight`: before it left. */
  left(inFlight: number): void {
    if (2 * inFlight >= this.#size) this.#used = true;
  }

  /** One more segment was applied by all: a whole window of them is a round. */
  advanced(): void {
    this.#advancedBy += 1;
    if (this.#advancedBy < this.#size) return;
    if (this.#used) this.#size = Math.min(SIZE_MAX, this.#size + 1);
    this.#advancedBy = 0;
    this.#used = false;
  }

  /** At most one shrink in `roundMs`, however many segments were lost together. */
  repaired(now: number, roundMs: number): void {
    this.#advancedBy = 0;
    if (now - this.#shrunkAt < roundMs) return;
    this.#shrunkAt = now;
    this.#size = Math.max(SIZE_MIN, Math.floor(this.#size * SHRINK));
  }
}
