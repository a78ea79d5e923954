import { type Gate, OPEN } from './gate.ts';

/** Segments that all active senders together may have in flight. */
const MEDIUM_SEGMENTS = 256;
/** Nobody's share is smaller: with less, receivers acknowledge late (PROTOCOL.md). */
const SHARE_MIN = 8;
/** Bursts of eight average out. */
const SMOOTHING = 1 / 16;
/** Who has sent nothing for so long is not active. */
const ACTIVE_MS = 200;

/**
 * The second variant of FIG. 10: how many segments of others come between own ones, smoothed. The
 * medium is divided by it, but never into more parts than there are senders: who sends less than
 * the others has his full share at once, and who sends more gives way until all come to the same.
 */
export class OthersBetween implements Gate {
  #count = 0;
  #smoothed = 0;
  #share = MEDIUM_SEGMENTS;
  readonly #heardAt = new Map<string, number>();

  /** The smoothed count. */
  get between(): number {
    return this.#smoothed;
  }

  get share(): number {
    return this.#share;
  }

  opensAt(inFlight: number): number {
    return inFlight < this.#share ? OPEN : Infinity;
  }

  heard(sender: string, now: number): void {
    this.#count += 1;
    this.#heardAt.set(sender, now);
  }

  /** An own segment is back: what came since the one before it lies between them. */
  back(now: number): void {
    this.#smoothed += (this.#count - this.#smoothed) * SMOOTHING;
    this.#count = 0;
    for (const [sender, heardAt] of this.#heardAt) {
      if (now - heardAt > ACTIVE_MS) this.#heardAt.delete(sender);
    }
    const senders = 1 + Math.min(this.#smoothed, this.#heardAt.size);
    this.#share = Math.max(SHARE_MIN, Math.floor(MEDIUM_SEGMENTS / senders));
  }

  restart(): void {
    this.#count = 0;
    this.#smoothed = 0;
    this.#share = MEDIUM_SEGMENTS;
    this.#heardAt.clear();
  }
}
