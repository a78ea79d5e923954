import type { Endpoint } from '@argyle/host';

/** An unknown incarnation costs a derivation, and whoever can send datagrams can name new ones. */
const PER_SECOND = 200;
/** What is left for each kind of source: a flood from one takes nothing from those above it. */
const LEFT_FOR_OTHERS = PER_SECOND / 3;
const LEFT_FOR_UNSUSPECTED = (2 * PER_SECOND) / 3;
const SUSPECTS_MAX = 256;
/** Somebody else may have used the address. */
const SUSPECT_MS = 10_000;

/**
 * How many keys may be derived for incarnations that nobody has heard of: 200 a second in all. Two
 * thirds of them only for addresses that have sent no forgery lately, and one third only where a
 * member is expected, so that a flood keeps nobody from joining who comes from elsewhere.
 */
export class Derivations {
  readonly #expects: (from: Endpoint) => boolean;
  #allowance = PER_SECOND;
  #allowanceAt = 0;
  readonly #suspects = new Set<string>();
  #suspectsSince = 0;

  /** `expects`: a member is, was, or is said to be at that address and port. */
  constructor(expects: (from: Endpoint) => boolean) {
    this.#expects = expects;
  }

  /** False when it must wait. */
  take(from: Endpoint, now: number): boolean {
    const refill = ((now - this.#allowanceAt) * PER_SECOND) / 1000;
    this.#allowance = Math.min(PER_SECOND, this.#allowance + refill);
    this.#allowanceAt = now;
    if (this.#allowance < 1 + this.#leftForOthers(from, now)) return false;
    this.#allowance -= 1;
    return true;
  }

  /** What came from there did not open under the key that was derived for it. */
  suspect(address: string, now: number): void {
    if (this.#suspects.size === 0) this.#suspectsSince = now;
    if (this.#suspects.size < SUSPECTS_MAX) this.#suspects.add(address);
  }

  #leftForOthers(from: Endpoint, now: number): number {
    if (this.#expects(from)) return 0;
    if (now - this.#suspectsSince > SUSPECT_MS) this.#suspects.clear();
    return this.#suspects.has(from.address) ? LEFT_FOR_UNSUSPECTED : LEFT_FOR_OTHERS;
  }
}
