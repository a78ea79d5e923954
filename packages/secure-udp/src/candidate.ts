import type { ClientEpoch } from './client-epoch.ts';
import { STANDBY_PROBE_MS } from './constants.ts';

/** A node, or what stands for it, that should answer is asked again after so long, then twice… */
const SEEK_FIRST_MS = 150;
const SEEK_MOST_MS = 2_000;
/** …and one that would be a standby more slowly. */
const STANDBY_FIRST_MS = 250;
const REST_FIRST_MS = 500;
const REST_MOST_MS = 5_000;
/** A standby that has not answered so many PROBEs is gone; one less, and it is doubtful. */
const UNANSWERED_MAX = 5;
const DOUBTFUL = 2;
const ANSWER_MIN_MS = 200;

/** One endpoint that may lead to a node, and the epoch that the client has there. */
export class Candidate {
  readonly endpoint: string;
  epoch: ClientEpoch | undefined;
  answeredAt = -Infinity;
  #helloAt = -Infinity;
  #hellos = 0;
  #restUntil = -Infinity;
  #rests = 0;
  #probeAt = Infinity;
  #unanswered = 0;

  constructor(endpoint: string) {
    this.endpoint = endpoint;
  }

  /** It can be used without a round trip. */
  get ready(): boolean {
    return this.epoch?.confirmed === true && this.#unanswered < DOUBTFUL;
  }

  /** It is, or may soon be, a standby. */
  get promising(): boolean {
    return this.epoch ? this.#unanswered < DOUBTFUL : this.#hellos < DOUBTFUL;
  }

  /** When the next HELLO is due. */
  get helloAt(): number {
    return this.#helloAt;
  }

  get standbyHelloAt(): number {
    return Math.max(this.#helloAt, this.#restUntil);
  }

  /** When its epoch is to be probed again. */
  get probeAt(): number {
    return this.#probeAt;
  }

  /** It has an epoch, and owes no answer. */
  get idle(): boolean {
    return this.epoch !== undefined && this.#unanswered === 0;
  }

  /** It has left too many PROBEs without an answer. */
  get gone(): boolean {
    return this.#unanswered >= UNANSWERED_MAX;
  }

  /** It is to be asked again from the beginning, not before that time. */
  seek(at: number): void {
    this.#helloAt = at;
    this.#hellos = 0;
  }

  /** A HELLO went there. */
  asked(purpose: 'use' | 'standby' | 'renew', now: number): void {
    const [first, most] =
      purpose === 'use' ? [SEEK_FIRST_MS, SEEK_MOST_MS] : [STANDBY_FIRST_MS, REST_MOST_MS];
    this.#helloAt = now + Math.min(most, first * 2 ** this.#hellos);
    this.#hellos += 1;
  }

  /** A PROBE of the standby went there. */
  probed(now: number): void {
    const timeoutMs = this.epoch?.roundTrips.timeoutMs(ANSWER_MIN_MS) ?? ANSWER_MIN_MS;
    this.#probeAt = now + timeoutMs * 2 ** this.#unanswered;
    this.#unanswered += 1;
  }

  /** It is there. */
  answered(now: number): void {
    this.answeredAt = now;
    this.#unanswered = 0;
    this.#hellos = 0;
    this.#rests = 0;
    this.#restUntil = -Infinity;
    this.#probeAt = now + STANDBY_PROBE_MS;
  }

  /** It was left as silent: it may be there again soon. */
  doubt(now: number): void {
    this.#unanswered = DOUBTFUL;
    this.#probeAt = now + ANSWER_MIN_MS;
  }

  /** It is not there: its epoch is useless, and it is left alone for a while. */
  rest(now: number): void {
    this.epoch = undefined;
    this.#unanswered = 0;
    this.#probeAt = Infinity;
    this.#restUntil = now + Math.min(REST_MOST_MS, REST_FIRST_MS * 2 ** this.#rests);
    this.#rests += 1;
    this.#hellos = 0;
  }
}
