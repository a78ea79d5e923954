/**
 * By which ways a member is heard, and by which it wants to be reached (PROTOCOL.md, "Transports").
 * Switches that watch memberships forget them after minutes, and clouds carry no multicast at all,
 * so multicast may stop, or never come, while unicast passes.
 */
import type { Channel } from '@argyle/host';

/** Heartbeats come every 250 ms: three of them in a row did not. */
const PAUSE_MS = 800;
/** By unicast they come in turn: every 2 s, and every 8 s among 128 members. */
const UNICAST_LATELY_MS = 10_000;
/**
 * No multicast came for so long, and unicast did, without a pause: the group is joined anew. Who
 * dies, or stands still and is late with its multicast, sends no unicast all the while.
 */
const REJOIN = { silentMs: 1_000, aloneMs: 450 };
/** When that has not helped half a second later, unicast is asked for. */
const ASK = { silentMs: 1_500, aloneMs: 950 };
/** Multicast must come without a pause for so long before unicast is given up… */
const STEADY_MS = 3_000;
/** …doubled each time that it then stops again sooner than this, up to the most. */
const CALM_MS = 60_000;
const STEADY_MAX_MS = 48_000;

/** How a datagram comes to one member: to the group's address, or to its own. */
export type Way = 'multicast' | 'unicast';

/** What a heartbeat says of how its sender hears the one it names. */
export interface Heard {
  readonly multicast: boolean;
  readonly unicast: boolean;
  /** Multicast does not come: send by unicast. */
  readonly wantsUnicast: boolean;
}

export const UNHEARD: Heard = { multicast: false, unicast: false, wantsUnicast: false };

export function waysOf({ multicast, unicast }: Heard): readonly Way[] {
  return [
    ...(multicast ? (['multicast'] as const) : []),
    ...(unicast ? (['unicast'] as const) : []),
  ];
}

/** One member as another hears it. Whoever is first heard by multicast is reached so at once. */
export class Hearing {
  #multicastAt = -Infinity;
  #unicastAt = -Infinity;
  /** Since when multicast has come without a pause. */
  #steadyFrom = -Infinity;
  /** Since when unicast has come without a pause, and no multicast; Infinity if there was any. */
  #aloneFrom = Infinity;
  #wantsUnicast = true;
  #steadyMs = 0;
  #returnedAt = -Infinity;

  handle(channel: Channel, now: number): void {
    if (channel === 'own') {
      const paused = now - this.#unicastAt > PAUSE_MS;
      if (paused || this.#aloneFrom === Infinity) this.#aloneFrom = now;
      this.#unicastAt = now;
      return;
    }
    if (now - this.#multicastAt > PAUSE_MS) this.#steadyFrom = now;
    this.#multicastAt = now;
    this.#aloneFrom = Infinity;
    if (this.#steadyMs > 0) return;
    this.#steadyMs = STEADY_MS;
    this.#wantsUnicast = false;
  }

  heard(now: number): Heard {
    return {
      multicast: now - this.#multicastAt <= PAUSE_MS,
      unicast: now - this.#unicastAt <= UNICAST_LATELY_MS,
      wantsUnicast: this.#wantsUnicast,
    };
  }

  /** It came by multicast once, and has come by unicast alone for so long that joining may help. */
  muted(now: number): boolean {
    return this.#isAlone(REJOIN, now);
  }

  /** Decides anew how to be reached; true when that has changed. */
  review(now: number): boolean {
    if (this.#wantsUnicast) {
      const came = now - this.#multicastAt <= PAUSE_MS;
      if (!came || now - this.#steadyFrom < this.#steadyMs) return false;
      this.#wantsUnicast = false;
      this.#returnedAt = now;
      return true;
    }
    if (!this.#isAlone(ASK, now)) return false;
    const again = now - this.#returnedAt < CALM_MS;
    this.#wantsUnicast = true;
    this.#steadyMs = again ? Math.min(STEADY_MAX_MS, 2 * this.#steadyMs) : STEADY_MS;
    return true;
  }

  /** This member did not run for a while: that nothing came proves nothing. */
  forgive(stalledMs: number): void {
    this.#multicastAt += stalledMs;
    this.#unicastAt += stalledMs;
    this.#aloneFrom += stalledMs;
  }

  #isAlone({ silentMs, aloneMs }: typeof REJOIN, now: number): boolean {
    if (this.#steadyMs === 0 || now - this.#multicastAt < silentMs) return false;
    return this.#unicastAt - this.#aloneFrom >= aloneMs;
  }
}
