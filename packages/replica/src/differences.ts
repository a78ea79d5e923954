/**
 * Two digests that differ and stand still for so long differ for good: longer than a heartbeat
 * takes to tell of a change.
 */
const QUIET_MS = 350;
/**
 * Under steady writes digests never stand still, and most buckets differ by what is under way: an
 * exchange carries nearly everything. It comes after so long, then ever more rarely…
 */
const BUSY_MS = 5_000;
/** …until the digests were equal once. */
const BUSY_MAX_MS = 320_000;

interface Difference {
  readonly digests: string;
  readonly standsSince: number;
  readonly since: number;
}

/** Which members' digests differ from ours, and when that is worth an exchange. */
export class Differences {
  readonly #own: () => string;
  readonly #byPeer = new Map<string, Difference>();
  /** How long the next difference of that peer may go on moving. */
  readonly #busyMs = new Map<string, number>();

  constructor(own: () => string) {
    this.#own = own;
  }

  compare(peer: string, ours: string, theirs: string, now: number): void {
    if (ours === theirs) {
      this.forget(peer);
      return;
    }
    const digests = `${ours} ${theirs}`;
    const known = this.#byPeer.get(peer);
    if (known?.digests === digests) return;
    this.#byPeer.set(peer, { digests, standsSince: now, since: known?.since ?? now });
  }

  /** An exchange with the peer begins: what differs afterwards is another difference. */
  exchanging(peer: string): void {
    this.#byPeer.delete(peer);
    this.#busyMs.set(peer, Math.min(BUSY_MAX_MS, 2 * this.#busyFor(peer)));
  }

  forget(peer: string): void {
    this.#byPeer.delete(peer);
    this.#busyMs.delete(peer);
  }

  forgetAll(): void {
    this.#byPeer.clear();
    this.#busyMs.clear();
  }

  /** A peer to exchange with now. Of two, the lesser incarnation begins; the other waits longer. */
  due(now: number): string | undefined {
    for (const [peer, { standsSince, since }] of this.#byPeer) {
      const patience = this.#own() < peer ? 1 : 2;
      const stands = now - standsSince >= QUIET_MS * patience;
      if (stands || now - since >= this.#busyFor(peer) * patience) return peer;
    }
    return undefined;
  }

  #busyFor(peer: string): number {
    return this.#busyMs.get(peer) ?? BUSY_MS;
  }
}
