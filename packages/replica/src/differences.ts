/**
 * Two digests that differ and stand still for so long differ for good: longer than a heartbeat
 * takes to tell of a change.
 */
const QUIET_MS = 350;
/** Under steady writes digests never stand still; then they are compared so often. */
const BUSY_MS = 5_000;

interface Difference {
  readonly digests: string;
  readonly standsSince: number;
  readonly since: number;
}

/** Which members' digests differ from ours, and when that is worth an exchange. */
export class Differences {
  readonly #own: () => string;
  readonly #byPeer = new Map<string, Difference>();

  constructor(own: () => string) {
    this.#own = own;
  }

  compare(peer: string, ours: string, theirs: string, now: number): void {
    if (ours === theirs) {
      this.#byPeer.delete(peer);
      return;
    }
    const digests = `${ours} ${theirs}`;
    const known = this.#byPeer.get(peer);
    if (known?.digests === digests) return;
    this.#byPeer.set(peer, { digests, standsSince: now, since: known?.since ?? now });
  }

  forget(peer: string): void {
    this.#byPeer.delete(peer);
  }

  forgetAll(): void {
    this.#byPeer.clear();
  }

  /** A peer to exchange with now. Of two, the lesser incarnation begins; the other waits longer. */
  due(now: number): string | undefined {
    for (const [peer, { standsSince, since }] of this.#byPeer) {
      const patience = this.#own() < peer ? 1 : 2;
      const stands = now - standsSince >= QUIET_MS * patience;
      if (stands || now - since >= BUSY_MS * patience) return peer;
    }
    return undefined;
  }
}
