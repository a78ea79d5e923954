/**
 * How much a peer may send that nobody has taken yet, tunnel by tunnel: one that stands still fills
 * its own window and holds up no other (packages/node/PROTOCOL.md, "Credit").
 */

/**
 * What each direction of a tunnel may send before the first CREDIT: twice what a socket gives at a
 * time, so that nothing needs to be cut.
 */
export const FIRST_WINDOW_BYTES = 128 * 1024;
/** Up to here a window grows also while its socket is slow: small ones cost processor time. */
const WINDOW_BYTES_EAGER = 256 * 1024;
/** Greater: more memory for a receiver that turns slow; smaller: less speed over long ways. */
const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** By which the windows of a connection may have grown in all. */
const GROWTH_BYTES_MAX = 8 * 1024 * 1024;
/**
 * Less is not cut off from what is to be sent (RFC 9293 §3.8.6.2.1). A receiver keeps back less
 * than half of its window, so this much comes by itself.
 */
const WORTHWHILE_BYTES = FIRST_WINDOW_BYTES / 2;
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

  constructor(growth: Growth) {
    this.#growth = growth;
  }

  /** False when the peer may not send so much. */
  received(bytes: number): boolean {
    if (bytes > this.#openBytes) return false;
    this.#openBytes -= bytes;
    return true;
  }

  /** Somebody has taken so much; answers what to grant the peer now. */
  taken(bytes: number): number {
    this.#takenBytes += bytes;
    return this.#takenBytes < this.#windowBytes / 2 ? 0 : this.#grant(0);
  }

  /**
   * The peer has more to send; answers what to grant it now. `waiting`: what came before is still
   * here. If it had to stop although everything was taken at once, the way is long.
   */
  blocked(waiting: boolean): number {
    if (waiting && this.#windowBytes >= WINDOW_BYTES_EAGER) return 0;
    const wanted = Math.min(this.#windowBytes, WINDOW_BYTES_MAX - this.#windowBytes);
    const grown = this.#growth.take(wanted);
    this.#windowBytes += grown;
    return this.#grant(grown);
  }

  /** The tunnel has ended. */
  close(): void {
    this.#growth.giveBack(this.#windowBytes - FIRST_WINDOW_BYTES);
    this.#windowBytes = FIRST_WINDOW_BYTES;
  }

  #grant(grownBytes: number): number {
    const granted = this.#takenBytes + grownBytes;
    this.#takenBytes = 0;
    this.#openBytes += granted;
    return granted;
  }
}

/** The sender's side. */
export class SendCredit {
  #leftBytes = FIRST_WINDOW_BYTES;
  #blocked = false;

  /** More may leave, if there is enough of it. */
  get open(): boolean {
    return this.#leftBytes >= WORTHWHILE_BYTES;
  }

  /** How many of so many bytes may leave now; what is answered is spent. */
  spend(wantedBytes: number): number {
    const spent = Math.min(wantedBytes, this.#leftBytes);
    if (spent < wantedBytes && !this.open) return 0;
    this.#leftBytes -= spent;
    return spent;
  }

  /** True once, when the peer is to be told that there is more to send. */
  block(): boolean {
    const first = !this.#blocked;
    this.#blocked = true;
    return first;
  }

  /** False for what no receiver grants. */
  grant(bytes: number): boolean {
    this.#blocked = false;
    this.#leftBytes += bytes;
    return bytes > 0 && this.#leftBytes <= CREDIT_BYTES_MAX;
  }
}
