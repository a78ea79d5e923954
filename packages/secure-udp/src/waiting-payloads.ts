import type { SentPayload } from './sent-payloads.ts';

const PAYLOADS_MAX = 1_024;
/** What an application would have given up by itself. */
const AGE_MAX_MS = 2_000;

/** Payloads for the next node that answers: few and young. */
export class WaitingPayloads {
  #payloads: SentPayload[] = [];

  get size(): number {
    return this.#payloads.length;
  }

  /** Answers how many were given up for it: 0 or 1. */
  add(payload: SentPayload): number {
    this.#payloads.push(payload);
    if (this.#payloads.length <= PAYLOADS_MAX) return 0;
    this.#payloads.shift();
    return 1;
  }

  take(now: number): { readonly young: SentPayload[]; readonly givenUp: number } {
    const all = this.#payloads;
    this.#payloads = [];
    const young = all.filter(({ firstAt }) => firstAt >= now - AGE_MAX_MS);
    return { young, givenUp: all.length - young.length };
  }
}
