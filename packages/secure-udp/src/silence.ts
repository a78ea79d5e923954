import { BEAT_AFTER_PAYLOAD_MS, BEAT_MS } from './constants.ts';
import type { ClientEpoch } from './client-epoch.ts';

/**
 * How the times were chosen. An application that sends every 20 ms notices a node's death one
 * interval after the last payload that got through, so a gap is 20 ms and what is below: 40 + 20 +
 * 15, which makes 95 ms where a round trip takes next to nothing. A node that stands still for less
 * than 75 ms (garbage collection, a busy core) is not left. Where a round trip takes longer, both
 * waits follow RFC 6298: smoothed time and four times its variation. Three PROBEs, so that two lost
 * datagrams in a row move nobody: at 5 % loss each way, one in 1 000 times that a record or its
 * receipt was lost.
 */
const SUSPECT_FLOOR_MS = 40;
const PROBES = 3;
const PROBE_SPACING_MS = 10;
const ANSWER_FLOOR_MS = 15;
/** A node that answers so soon after it was left was not silent: floors are doubled for a while. */
const HASTY_MS = 400;
const PATIENT_MS = 30_000;
const PATIENCE_MAX = 4;
/** A client expects beats for a little less long than an owner sends them. */
const EXPECT_BEATS_MS = BEAT_AFTER_PAYLOAD_MS - 2_000;

export type Verdict = 'probe' | 'silent';

/** Whether the node in use is still there: detection belongs to the client. */
export class Silence {
  /** PROBEs sent on suspicion, and when the next one, or the verdict, is due. */
  #suspicion:
    { probes: number; askedAgain: boolean; nextAt: number; readonly since: number } | undefined;
  #left: { readonly epoch: ClientEpoch; readonly at: number } | undefined;
  #patience = 1;
  #patientUntil = -Infinity;

  /** Since when the node has been suspected; Infinity if it is not. */
  get suspectedSince(): number {
    return this.#suspicion?.since ?? Infinity;
  }

  /** `payloadAt`: when a payload last went through, either way. */
  deadline(epoch: ClientEpoch, payloadAt: number): number {
    if (this.#suspicion) return this.#suspicion.nextAt;
    const timeoutMs = epoch.roundTrips.timeoutMs(SUSPECT_FLOOR_MS * this.#patience);
    const beatBy = epoch.validAt + BEAT_MS + timeoutMs;
    const beats = epoch.confirmed && beatBy <= payloadAt + EXPECT_BEATS_MS;
    return Math.min(epoch.waitingSince + timeoutMs, beats ? beatBy : Infinity);
  }

  /**
   * Who is itself later than half of the time that an answer has, does not judge: the answer may be
   * there, and not have been read yet. It asks once more.
   */
  check(epoch: ClientEpoch, payloadAt: number, now: number): Verdict | undefined {
    if (now < this.deadline(epoch, payloadAt)) return undefined;
    const answerMs = epoch.roundTrips.timeoutMs(ANSWER_FLOOR_MS * this.#patience);
    this.#suspicion ??= { probes: 0, askedAgain: false, nextAt: now, since: now };
    const suspicion = this.#suspicion;
    if (suspicion.probes < PROBES) suspicion.probes += 1;
    else if (suspicion.askedAgain || now <= suspicion.nextAt + answerMs / 2) return 'silent';
    else suspicion.askedAgain = true;
    suspicion.nextAt = now + (suspicion.probes < PROBES ? PROBE_SPACING_MS : answerMs);
    return 'probe';
  }

  /** The node has answered, or another is in use. */
  dispel(): void {
    this.#suspicion = undefined;
  }

  /** The node was left on the verdict. */
  left(epoch: ClientEpoch, now: number): void {
    this.#left = { epoch, at: now };
  }

  /** A valid record came: true if its node was left too hastily. */
  heard(epoch: ClientEpoch, now: number): boolean {
    if (now >= this.#patientUntil) this.#patience = 1;
    if (this.#left?.epoch !== epoch) return false;
    const hasty = now - this.#left.at <= HASTY_MS;
    this.#left = undefined;
    if (!hasty) return false;
    this.#patience = Math.min(PATIENCE_MAX, this.#patience * 2);
    this.#patientUntil = now + PATIENT_MS;
    return true;
  }
}
