import { BITMAP_BYTES_MAX, isReceived, type Receipt } from './content.ts';

/** As far as a receipt reaches: of what lies further back nobody can say whether it came. */
const PAYLOADS_MAX = BITMAP_BYTES_MAX * 8;
const BYTES_MAX = 8 * 1024 * 1024;
/** A driver may take them 3 s after nodes fell silent, and that took 2 s to see at most. */
const AGE_MAX_MS = 5_000;

export interface SentPayload {
  readonly payload: Uint8Array;
  /** When it was first sent, in whatever epoch. */
  readonly firstAt: number;
}

interface Entry extends SentPayload {
  /** When it was sent in this epoch. */
  readonly at: number;
  /** A TAKE has answered its record. */
  taken: boolean;
}

/** Payloads sent in one epoch that have no receipt yet, in order. */
export class SentPayloads {
  readonly #entries = new Map<number, Entry>();
  #bytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  add(sequence: number, sent: SentPayload, now: number): void {
    const { payload, firstAt } = sent;
    this.#entries.set(sequence, { payload, firstAt, at: now, taken: false });
    this.#bytes += sent.payload.length;
    for (const [oldest, { at }] of this.#entries) {
      const spare = this.#entries.size <= PAYLOADS_MAX && this.#bytes <= BYTES_MAX;
      if (spare && at > now - AGE_MAX_MS) break;
      this.#remove(oldest);
    }
  }

  /** When that one was sent, if no TAKE has answered it. */
  triggerSentAt(sequence: number): number | undefined {
    const entry = this.#entries.get(sequence);
    return entry?.taken === false ? entry.at : undefined;
  }

  /** A TAKE has answered it. */
  taken(sequence: number): void {
    const entry = this.#entries.get(sequence);
    if (entry) entry.taken = true;
  }

  acknowledge(receipt: Receipt): void {
    for (const sequence of this.#entries.keys()) {
      if (sequence > receipt.highest) return;
      if (isReceived(receipt, sequence) === true) this.#remove(sequence);
    }
  }

  /** Takes those of which the receipt says nothing; in order. */
  takeUnknown(receipt: Receipt): SentPayload[] {
    const taken: SentPayload[] = [];
    for (const [sequence, entry] of this.#entries) {
      if (isReceived(receipt, sequence) !== undefined) return taken;
      taken.push(entry);
      this.#remove(sequence);
    }
    return taken;
  }

  /** Takes those from `fromSequence` on, and those sent in this epoch by `sentBy`; in order. */
  take(which: { readonly fromSequence: number; readonly sentBy: number }): SentPayload[] {
    const taken: SentPayload[] = [];
    for (const [sequence, entry] of this.#entries) {
      if (sequence < which.fromSequence && entry.at > which.sentBy) continue;
      taken.push(entry);
      this.#remove(sequence);
    }
    return taken;
  }

  #remove(sequence: number): void {
    this.#bytes -= this.#entries.get(sequence)?.payload.length ?? 0;
    this.#entries.delete(sequence);
  }
}
