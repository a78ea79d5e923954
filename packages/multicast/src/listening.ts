import { type Channel, ReplayWindow } from '@argyle/host';
import { Hearing } from './hearing.ts';
import type { Peer } from './peer.ts';

/** Own heartbeats that do not come back for so long never will. */
const DEAF_MS = 1_000;

/** Between two times that the group is joined anew; doubled while that does not help. */
const SPACING_MS = 30_000;
const SPACING_MAX_MS = 480_000;

/** Does this member hear the group, itself included, and may joining it anew help? */
export class Listening {
  /** How it hears itself. */
  readonly own = new Hearing();
  /** How often the group was joined anew. */
  rejoins = 0;
  #rejoinAfter = -Infinity;
  #spacingMs = SPACING_MS;
  /** Own packets that came back. */
  #returned = new ReplayWindow();

  /** False when that packet of its own came back before. */
  handleOwn(packet: number, channel: Channel, now: number): boolean {
    if (!this.#returned.accept(packet)) return false;
    this.own.handle(channel, now);
    return true;
  }

  /** A new incarnation numbers its packets anew. */
  begin(): void {
    this.#returned = new ReplayWindow();
  }

  /** Those whose way has changed, and whether the group is to be joined anew. */
  review(members: readonly Peer[], uptimeMs: number, now: number) {
    const changed = members.filter(({ hearing }) => hearing.review(now));
    const muted = members.some(({ hearing }) => hearing.muted(now));
    const deaf = uptimeMs > DEAF_MS && !this.own.heard(now).multicast;
    if (!muted && !deaf) this.#spacingMs = SPACING_MS;
    const rejoin = (muted || deaf) && now > this.#rejoinAfter;
    if (rejoin) {
      this.rejoins += 1;
      this.#rejoinAfter = now + this.#spacingMs;
      this.#spacingMs = Math.min(SPACING_MAX_MS, 2 * this.#spacingMs);
    }
    return { changed, rejoin };
  }
}
