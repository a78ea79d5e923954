import { type Gate, OPEN } from './gate.ts';

const SLOWER = 0.7;
/** Requests so close together come from one loss. */
const TOGETHER_MS = 20;
/** For every such time without a request the spacing shrinks… */
const CLEAN_MS = 100;
const EASE = 0.9;
/** …until what is sent anyway is so many times as far apart: then there is none. */
const LIFTED = 2;
/** The slowest and the fastest pace. */
const SPACING_MAX_MS = 10;
const SPACING_MIN_MS = 0.01;
/** Timers are coarse: what could have left in this time may leave together. */
const BURST_MS = 2;
const SMOOTHING = 1 / 32;
/** A member may ask for this share of what is sent… */
const BUDGET_SHARE = 1 / 8;
/** …and save up so many segments. */
const BUDGET_MAX = 64;

/**
 * Members of the second tier acknowledge nothing; that they ask for repairs is all that a sender
 * knows of them. Each request slows it to 0.7 of what it sent. A member that asks for more than its
 * budget is not listened to, so that one bad receiver cannot stop the rest.
 */
export class RepairRequests implements Gate {
  /** Milliseconds between segments; 0: no pace is kept. */
  #paceMs = 0;
  #nextAt = OPEN;
  #spacingMs = SPACING_MAX_MS;
  #leftAt = -Infinity;
  #slowedAt = -Infinity;
  #easedAt = -Infinity;
  #sent = 0;
  /** What each may still ask for, as of so many sent. */
  readonly #budgets = new Map<string, { left: number; sent: number }>();

  get paceMs(): number {
    return this.#paceMs;
  }

  opensAt(): number {
    return this.#paceMs === 0 ? OPEN : this.#nextAt;
  }

  left(now: number): void {
    this.#sent += 1;
    const spacingMs = Math.min(SPACING_MAX_MS, now - this.#leftAt);
    this.#leftAt = now;
    this.#spacingMs += (spacingMs - this.#spacingMs) * SMOOTHING;
    if (this.#paceMs === 0) return;
    this.#ease(now);
    this.#nextAt = Math.max(this.#nextAt, now - BURST_MS) + this.#paceMs;
  }

  /** How many of so many segments are to be repaired for that member: its budget's rest. */
  asked(member: string, segments: number, now: number): number {
    const budget = this.#budgets.get(member) ?? { left: BUDGET_MAX, sent: this.#sent };
    const refilled = budget.left + (this.#sent - budget.sent) * BUDGET_SHARE;
    const left = Math.min(BUDGET_MAX, refilled);
    const granted = Math.min(segments, Math.floor(left));
    this.#budgets.set(member, { left: left - granted, sent: this.#sent });
    if (granted > 0) this.#slow(now);
    return granted;
  }

  gone(member: string): void {
    this.#budgets.delete(member);
  }

  restart(): void {
    this.#paceMs = 0;
    this.#budgets.clear();
  }

  #slow(now: number): void {
    this.#easedAt = now;
    if (now - this.#slowedAt < TOGETHER_MS) return;
    this.#slowedAt = now;
    const paceMs = Math.max(SPACING_MIN_MS, this.#paceMs, this.#spacingMs);
    this.#paceMs = Math.min(SPACING_MAX_MS, paceMs / SLOWER);
    this.#nextAt = Math.max(this.#nextAt, now);
  }

  #ease(now: number): void {
    while (now - this.#easedAt >= CLEAN_MS) {
      this.#easedAt += CLEAN_MS;
      this.#paceMs *= EASE;
      if (this.#paceMs * LIFTED >= this.#spacingMs && this.#paceMs > SPACING_MIN_MS) continue;
      this.#paceMs = 0;
      return;
    }
  }
}
