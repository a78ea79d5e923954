import assert from 'node:assert/strict';
import { REPLAY_WINDOW_PACKETS, type ReplayWindow } from '@argyle/host';
import { RECEIPT_RECORDS, RECEIPT_SPACING_MS } from './constants.ts';
import type { Receipt } from './content.ts';

/** A receipt reaches back to all that came since this many receipts ago: they are lost too. */
const RECEIPTS_BACK = 4;
const BITS_MIN = 64;
const BITS_MAX = 1_024;
/** Besides the newest, the window holds so many, and nobody knows of one more. In whole bytes. */
const WHOLE_BYTES_MAX = Math.floor((REPLAY_WINDOW_PACKETS - 1) / 8);

/** When a receiver owes a receipt, and what is in it. */
export class Receipts {
  readonly #window: ReplayWindow;
  /** The highest sequence of each of the last receipts. */
  readonly #highest: number[] = [];
  #receiptedAt = -Infinity;
  /** Records since. */
  #owed = 0;

  constructor(window: ReplayWindow) {
    this.#window = window;
  }

  /** Infinity when none is owed. */
  get dueAt(): number {
    if (this.#owed === 0) return Infinity;
    return this.#owed >= RECEIPT_RECORDS ? -Infinity : this.#receiptedAt + RECEIPT_SPACING_MS;
  }

  owe(): void {
    this.#owed += 1;
  }

  /** To be sent at once; undefined before the first record. */
  take(now: number): Receipt | undefined {
    const { newest } = this.#window;
    if (newest < 0) return undefined;
    this.#owed = 0;
    this.#receiptedAt = now;
    const reachesTo = this.#highest.length < RECEIPTS_BACK ? 0 : (this.#highest.shift() ?? 0);
    this.#highest.push(newest);
    return receiptOf(this.#window, Math.max(BITS_MIN, Math.min(newest - reachesTo, BITS_MAX)));
  }

  /**
   * All that a receipt can say, after the first record, with at most so many bytes of bitmap: the
   * last word of who takes no more.
   */
  whole(bitmapBytes: number): Receipt {
    assert(this.#window.newest >= 0);
    return receiptOf(this.#window, Math.min(bitmapBytes, WHOLE_BYTES_MAX) * 8);
  }
}

/** Of the newest record of the window, and at most so many before it. */
function receiptOf(window: ReplayWindow, bits: number): Receipt {
  const highest = window.newest;
  const bitmap = new Uint8Array(Math.ceil(Math.min(bits, highest) / 8));
  for (let bit = 0; bit < Math.min(bitmap.length * 8, highest); bit += 1) {
    if (window.judge(highest - 1 - bit) === 'new') continue;
    bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  return { highest, bitmap };
}
