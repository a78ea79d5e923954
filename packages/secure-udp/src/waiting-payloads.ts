import type { SentPayload } from './sent-payloads.ts';

/** As many as may be sent again at once, and more than an application has under way. */
const PAYLOADS_MAX = 8_192;
const BYTES_MAX = 8 * 1024 * 1024;
/** What an application would have given up by itself. */
const AGE_MAX_MS = 2_000;
/**
 * So many leave at once, and a millisecond later so many more: 92 datagrams of 1 200 bytes fill the
 * buffer that Linux gives a socket (212 992 bytes, each counted with its head).
 */
const BURST = 16;
const BURST_SPACING_MS = 1;
/** After a pause, or when a timer was late. */
const BURST_MAX = 64;

interface Waiting extends SentPayload {
  readonly since: number;
}

/** Payloads for the next node that answers, and those to be sent again, which leave in bursts. */
export class WaitingPayloads {
  #payloads: Waiting[] = [];
  #bytes = 0;
  #burstAt = -Infinity;

  get size(): number {
    return this.#payloads.length;
  }

  /** When the next burst may leave; Infinity if nothing waits. */
  get dueAt(): number {
    return this.#payloads.length === 0 ? Infinity : this.#burstAt + BURST_SPACING_MS;
  }

  /** Answers how many were given up for it. */
  add(sent: SentPayload, now: number): number {
    this.#payloads.push({ ...sent, since: now });
    this.#bytes += sent.payload.length;
    return this.#bound();
  }

  /** Before those that wait already. Answers how many were given up for them. */
  addFirst(sent: readonly SentPayload[], now: number): number {
    if (sent.length === 0) return 0;
    this.#payloads = [...sent.map((each) => ({ ...each, since: now })), ...this.#payloads];
    for (const { payload } of sent) this.#bytes += payload.length;
    return this.#bound();
  }

  /** A burst, if it is due. */
  takeBurst(now: number): Taken {
    if (now < this.dueAt) return { young: [], givenUp: 0 };
    const late = Math.floor(((now - this.#burstAt) / BURST_SPACING_MS) * BURST);
    this.#burstAt = now;
    return this.#take(Math.max(BURST, Math.min(BURST_MAX, late)), now);
  }

  takeAll(now: number): Taken {
    return this.#take(this.#payloads.length, now);
  }

  #take(most: number, now: number): Taken {
    const taken = this.#payloads.splice(0, most);
    for (const { payload } of taken) this.#bytes -= payload.length;
    const young = taken.filter(({ since }) => since >= now - AGE_MAX_MS);
    return { young, givenUp: taken.length - young.length };
  }

  #bound(): number {
    let givenUp = 0;
    while (this.#payloads.length - givenUp > PAYLOADS_MAX || this.#bytes > BYTES_MAX) {
      this.#bytes -= this.#payloads[givenUp]?.payload.length ?? 0;
      givenUp += 1;
    }
    this.#payloads.splice(0, givenUp);
    return givenUp;
  }
}

interface Taken {
  readonly young: readonly SentPayload[];
  /** Those that have waited too long. */
  readonly givenUp: number;
}
