/**
 * Packets that may overtake each other: at full load, what is sent in some tenths of a second. A
 * packet older than that is refused whether it was seen or not.
 */
export const REPLAY_WINDOW_PACKETS = 8_192;
const WORD_BITS = 32;
/** One word more than the window: the newest packet's word may hold few packets yet. */
const WORDS = REPLAY_WINDOW_PACKETS / WORD_BITS + 1;

/** `seen`: certainly a second time. `old`: the window has passed it, so nobody knows. */
export type ReplayVerdict = 'new' | 'seen' | 'old';

/**
 * Which packet numbers under one key were seen, as in RFC 6479: a ring of words, in which those
 * that the window has passed are cleared when the newest number moves on. Numbers are whole, from 0
 * to 2^53 - 1. `judge` changes nothing, so that a forgery can be refused before it is opened;
 * `accept` is for what did open.
 */
export class ReplayWindow {
  readonly #words = new Uint32Array(WORDS);
  #newest = -1;

  /** The greatest number accepted; -1 before the first. */
  get newest(): number {
    return this.#newest;
  }

  judge(packet: number): ReplayVerdict {
    if (packet > this.#newest) return 'new';
    if (packet + REPLAY_WINDOW_PACKETS <= this.#newest) return 'old';
    const seen = this.#words[Math.floor(packet / WORD_BITS) % WORDS] ?? 0;
    return (seen & (1 << (packet % WORD_BITS))) === 0 ? 'new' : 'seen';
  }

  /** True once for each packet number that is not older than the window. */
  accept(packet: number): boolean {
    if (packet + REPLAY_WINDOW_PACKETS <= this.#newest) return false;
    const word = Math.floor(packet / WORD_BITS);
    if (packet > this.#newest) {
      const newestWord = Math.floor(this.#newest / WORD_BITS);
      const passed = Math.min(word - newestWord, WORDS);
      for (let step = 0; step < passed; step += 1) this.#words[(word - step) % WORDS] = 0;
      this.#newest = packet;
    }
    const at = word % WORDS;
    const bit = 1 << (packet % WORD_BITS);
    const seen = this.#words[at] ?? 0;
    if ((seen & bit) !== 0) return false;
    this.#words[at] = seen | bit;
    return true;
  }
}
