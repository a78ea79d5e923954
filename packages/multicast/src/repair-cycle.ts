import { type Gap, without } from './gaps.ts';

/** A gap may be a datagram that was overtaken: it counts when it is still there then. */
const GAP_DELAY_MS = 2;
/** RFC 5401 §3.2: how far requests of many are spread, in round-trip times. */
const SPREAD = 4;
/** For how many after that nobody asks again. */
const HOLD_OFF = SPREAD + 2;
/** Nearer to each other than timers are exact, requests are not suppressed. */
const ROUND_MIN_MS = 1;

/** What the timers go by. */
export interface RepairTiming {
  /** The round trip to the stream's sender and back, as it says. */
  readonly roundMs: number;
  /** Who may miss the same, this member among them. */
  readonly askers: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * When to ask for what is missing in one stream (RFC 5401 §3.2.2): a gap that persists starts a
 * random wait; what others ask for meanwhile need not be asked for again; then, whether or not that
 * was all, a hold-off gives the repair its time. Who asks alone does not wait.
 */
export class RepairCycle {
  /** Requests that others made unnecessary, wholly or in part. */
  suppressed = 0;
  #phase: 'idle' | 'waiting' | 'holding off' = 'idle';
  #dueAt = Infinity;
  #others: Gap[] = [];

  /** When `due` is to be called. */
  get deadline(): number {
    return this.#dueAt;
  }

  /** Something may have changed about what is missing. */
  watch(incomplete: boolean, timing: () => RepairTiming, now: number): void {
    if (!incomplete) {
      if (this.#phase === 'waiting' && this.#others.length > 0) this.suppressed += 1;
      this.#phase = 'idle';
      this.#dueAt = Infinity;
    } else if (this.#phase === 'idle') this.#wait(GAP_DELAY_MS, timing, now);
  }

  /** Another has asked for those. */
  heard(gaps: readonly Gap[]): void {
    if (this.#phase === 'waiting') this.#others.push(...gaps);
  }

  /** What is to be asked for now: of what is missing, what nobody else has asked for. */
  due(missing: readonly Gap[], timing: () => RepairTiming, now: number): readonly Gap[] {
    if (now < this.#dueAt) return [];
    if (this.#phase === 'holding off') {
      this.#wait(0, timing, now);
      if (this.#dueAt > now) return [];
    }
    const gaps = without(missing, this.#others);
    if (this.#others.length > 0) this.suppressed += 1;
    this.#phase = 'holding off';
    this.#dueAt = now + HOLD_OFF * Math.max(ROUND_MIN_MS, timing().roundMs);
    return gaps;
  }

  #wait(leastMs: number, timing: () => RepairTiming, now: number): void {
    const { roundMs, askers, random } = timing();
    this.#phase = 'waiting';
    this.#others = [];
    const spreadMs = SPREAD * Math.max(ROUND_MIN_MS, roundMs);
    this.#dueAt = now + leastMs + (askers > 1 ? randomBackoff(spreadMs, askers, random()) : 0);
  }
}

/**
 * RFC 5401 §3.2.2.1: a truncated exponential distribution over `mostMs`. Of however many draw from
 * it a few come first, and the rest later. `uniform` in [0, 1).
 */
export function randomBackoff(mostMs: number, groupSize: number, uniform: number): number {
  const lambda = Math.log(groupSize) + 1;
  return (mostMs / lambda) * Math.log1p(uniform * Math.expm1(lambda));
}
