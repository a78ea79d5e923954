import { type Gate, OPEN } from './gate.ts';

/**
 * Own segments that may be out and not yet back. Fewer: the sender waits for its own turn to read.
 * More: it fills its own socket before it reads.
 */
const OUT_MAX = 16;
const OUT_MIN = 4;
/** Who is not back by then was lost in the local input path. */
const BACK_WITHIN_MS = 50;
/** Of what may be out, after a loss. */
const SHRINK = 0.5;

/**
 * FIG. 10B: own segments must come back before the next leaves, with `outMax` 1 the very one before
 * it. What goes to one member alone comes back as a copy that the sender makes for itself. Measures
 * the local input path alone: own copies are made before the device queue (`ip_mc_output`).
 */
export class SelfReceipt implements Gate {
  /** Own copies that did not come back in time. */
  lost = 0;
  readonly #outMax: number;
  #allowed: number;
  #back = 0;
  /** When they left, by sequence, the oldest first. */
  readonly #out = new Map<number, number>();

  constructor(outMax = OUT_MAX) {
    this.#outMax = outMax;
    this.#allowed = outMax;
  }

  get allowed(): number {
    return this.#allowed;
  }

  /** When the oldest counts as lost. */
  get expiresAt(): number {
    for (const leftAt of this.#out.values()) return leftAt + BACK_WITHIN_MS;
    return Infinity;
  }

  /** Whatever else happens it opens when enough of those that are out count as lost. */
  opensAt(): number {
    let tooMany = this.#out.size - this.#allowed;
    if (tooMany < 0) return OPEN;
    for (const leftAt of this.#out.values()) {
      if (tooMany === 0) return leftAt + BACK_WITHIN_MS;
      tooMany -= 1;
    }
    return OPEN;
  }

  left(sequence: number, now: number): void {
    this.#out.delete(sequence);
    this.#out.set(sequence, now);
  }

  /** One more may be out when as many as may be have come back, and none was lost. */
  back(sequence: number): void {
    if (!this.#out.delete(sequence)) return;
    this.#back += 1;
    if (this.#back < this.#allowed) return;
    this.#back = 0;
    this.#allowed = Math.min(this.#outMax, this.#allowed + 1);
  }

  expire(now: number): void {
    const { lost } = this;
    for (const [sequence, leftAt] of this.#out) {
      if (leftAt + BACK_WITHIN_MS > now) break;
      this.#out.delete(sequence);
      this.lost += 1;
    }
    if (this.lost === lost) return;
    this.#back = 0;
    const least = Math.min(OUT_MIN, this.#outMax);
    this.#allowed = Math.max(least, Math.floor(this.#allowed * SHRINK));
  }

  restart(): void {
    this.#out.clear();
  }
}
