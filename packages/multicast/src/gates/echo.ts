import { type Gate, OPEN } from './gate.ts';

/** An echo is asked for with every so many segments: half as often as acknowledgements come. */
const ASK_EVERY = 16;
/** Segments that may have left since the oldest question without an answer. */
const OUT_MAX = 128;
/** A question and all that came after it were lost: the window has to do. */
const ANSWER_WITHIN_MS = 500;

interface Question {
  readonly of: string;
  readonly sequence: number;
  readonly askedAt: number;
}

/**
 * Self-receipt that reaches through the wire: the slowest receiver returns the newest sequence as
 * soon as it has come, whether or not it can be applied. Sees the wire and the peer's input path;
 * blind to what it makes of it.
 */
export class Echo implements Gate {
  /** Questions that were not answered in time. */
  lost = 0;
  #sequence = 0;
  #askedLast = 0;
  /** The oldest first. */
  #questions: Question[] = [];

  /** Should the next segment ask? */
  get due(): boolean {
    return this.#sequence + 1 - this.#askedLast >= ASK_EVERY;
  }

  /** When the oldest question counts as lost. */
  get expiresAt(): number {
    const [oldest] = this.#questions;
    return oldest ? oldest.askedAt + ANSWER_WITHIN_MS : Infinity;
  }

  opensAt(): number {
    let at = OPEN;
    for (const { sequence, askedAt } of this.#questions) {
      if (this.#sequence - sequence < OUT_MAX) break;
      at = askedAt + ANSWER_WITHIN_MS;
    }
    return at;
  }

  left(sequence: number): void {
    this.#sequence = sequence;
  }

  /** That segment, which has just left, asks that receiver. */
  ask(of: string, now: number): void {
    this.#askedLast = this.#sequence;
    this.#questions.push({ of, sequence: this.#sequence, askedAt: now });
  }

  /** The newest sequence that has come to that receiver. */
  answered(by: string, newest: number): void {
    const waits = ({ of, sequence }: Question) => of !== by || sequence > newest;
    if (this.#questions.length > 0) this.#questions = this.#questions.filter(waits);
  }

  gone(receiver: string): void {
    this.answered(receiver, Infinity);
  }

  expire(now: number): void {
    while (this.expiresAt <= now) {
      this.#questions.shift();
      this.lost += 1;
    }
  }

  restart(): void {
    this.#sequence = 0;
    this.#askedLast = 0;
    this.#questions = [];
  }
}
