import { Hearing } from './hearing.ts';
import { REJOIN_SPACING_MS } from './options.ts';
import type { Peer } from './peer.ts';

/** Own heartbeats that do not come back for so long never will. */
const DEAF_MS = 1_000;

/** Does this member hear the group, itself included, and may joining it anew help? */
export class Listening {
  /** How it hears itself. */
  own = new Hearing();
  /** How often the group was joined anew. */
  rejoins = 0;
  #rejoinedAt = -Infinity;

  /** Those whose way has changed, and whether the group is to be joined anew. */
  review(members: readonly Peer[], uptimeMs: number, now: number) {
    const changed = members.filter(({ hearing }) => hearing.review(now));
    const muted = members.some(({ hearing }) => hearing.muted(now));
    const deaf = uptimeMs > DEAF_MS && !this.own.heard(now).multicast;
    const rejoin = (muted || deaf) && now - this.#rejoinedAt > REJOIN_SPACING_MS;
    if (rejoin) {
      this.rejoins += 1;
      this.#rejoinedAt = now;
    }
    return { changed, rejoin };
  }
}
