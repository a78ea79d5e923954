/**
 * Packets that may overtake each other: at full load, what is sent in some tenths of a second. A
 * packet older than that is taken for a replay; its sender repairs with a new packet number.
 */
export const REPLAY_WINDOW_PACKETS = 8_192;
const WORD_BITS = 32;
/** One word more than the window: the newest packet's word may hold few packets yet. */
const WORDS = REPLAY_WINDOW_PACKETS / WORD_BITS + 1;

/**
 * Which packet numbers of one incarnation were seen, as in RFC 6479: a ring of words, in which
 * those that the window has passed are cleared when the newest number moves on.
 */
export class ReplayWindow {
  readonly #words = new Uint32Array(WORDS);
  #newest = 0;

  /** True once for each packet number that is not older than the window. Numbers begin at 1. */
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
