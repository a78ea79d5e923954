/**
 * How much a peer may send that nobody has taken yet, tunnel by tunnel: one that stands still fills
 * its own window and holds up no other (packages/node/PROTOCOL.md, "Credit").
 */

/** What each direction of a tunnel may send before the first CREDIT. */
export const FIRST_WINDOW_BYTES = 64 * 1024;
/** Greater: more memory for a receiver that turns slow; smaller: less speed over long ways. */
const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** By which the windows of a connection may have grown in all. */
const GROWTH_BYTES_MAX = 8 * 1024 * 1024;
/** A peer that grants more than this in one direction makes no sense. */
const CREDIT_BYTES_MAX = 2 ** 31;

/** Of one connection: what its windows may still grow by. */
export class Growth {
  #leftBytes = GROWTH_BYTES_MAX;

  take(bytes: number): number {
    const taken = Math.min(bytes, this.#leftBytes);
    this.#leftBytes -= taken;
    return taken;
  }

  giveBack(bytes: number): void {
    this.#leftBytes += bytes;
  }
}

/** The receiver's side of one tunnel. */
export class ReceiveWindow {
  readonly #growth: Growth;
  #windowBytes = FIRST_WINDOW_BYTES;
  /** What the peer may still send. */
  #openBytes = FIRST_WINDOW_BYTES;
  #takenBytes = 0;
  #tooSmall = false;

  constructor(growth: Growth) {
    this.#growth = growth;
  }

  /** False when the peer may not send so much. `waiting`: what came before is still here. */
  received(bytes: number, waiting: boolean): boolean {
    if (bytes > this.#openBytes) return false;
    this.#openBytes -= bytes;
    // It had to stop although everything it sent was taken at once: the way is long.
    if (this.#openBytes === 0 && !waiting) this.#tooSmall = true;
    return true;
  }

  /** Somebody has taken so much; answers what to grant the peer now. */
  taken(bytes: number): number {
    this.#takenBytes += bytes;
    if (this.#takenBytes < this.#windowBytes / 2) return 0;
    const grown = this.#tooSmall ? this.#grow() : 0;
    const granted = this.#takenBytes + grown;
    this.#takenBytes = 0;
    this.#tooSmall = false;
    this.#openBytes += granted;
    return granted;
  }

  /** The tunnel has ended. */
  close(): void {
    this.#growth.giveBack(this.#windowBytes - FIRST_WINDOW_BYTES);
    this.#windowBytes = FIRST_WINDOW_BYTES;
  }

  #grow(): number {
    const wanted = Math.min(this.#windowBytes, WINDOW_BYTES_MAX - this.#windowBytes);
    const grown = this.#growth.take(wanted);
    this.#windowBytes += grown;
    return grown;
  }
}

/** The sender's side. */
export class SendCredit {
  #leftBytes = FIRST_WINDOW_BYTES;

  get leftBytes(): number {
    return this.#leftBytes;
  }

  spend(bytes: number): void {
    this.#leftBytes -= bytes;
  }

  /** False for what no receiver grants. */
  grant(bytes: number): boolean {
    this.#leftBytes += bytes;
    return bytes > 0 && this.#leftBytes <= CREDIT_BYTES_MAX;
  }
}
