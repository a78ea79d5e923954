import assert from 'node:assert/strict';
import type { Candidate, NodeFailure, NodeState, NodeStatus } from './candidate.ts';
import { isTransient } from './errors.ts';
import { byDelay, reasonFor, type Because } from './node-reason.ts';

export interface NodeChoiceOptions {
  /** A failed node is tried again after this, doubled up to sixteen times it. */
  readonly retryMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface Measurement {
  readonly delayMs: number;
  readonly sample: boolean;
}

/** The weight of a new sample: a lasting change shows after some four of them. */
const SMOOTHING = 0.25;
/** A move is worth a new set of warm connections only if it gains this share and this much. */
const MOVE_RATIO = 0.7;
const MOVE_GAIN_MS = 0.3;
/** Fewer samples than this decide nothing, so each node has that many trials early. */
const SAMPLES_MIN = 3;
const EARLY_TRIAL_MS = 1_000;
/** Wide, so that the trials of different nodes do not disturb each other's measurement. */
const EARLY_TRIAL_JITTER = 0.5;
/** Between two moves for speed, so that noise cannot make a client wander. */
const DWELL_MS = 10_000;
const TRIAL_MS = 30_000;
const TRIAL_JITTER = 0.2;
const BACK_OFF_MAX = 16;
/**
 * In a sign of life there are a handshake, which is what `delayMs` measures, and two or three more
 * round trips. Shorter, and a busy node is asked twice; longer, and a frozen one is noticed late.
 */
const PATIENCE_RATIO = 8;
const PATIENCE_MIN_MS = 200;
/** Nobody has answered there yet: there may be a full handshake and a password check. */
const PATIENCE_UNMEASURED_MS = 1_000;

/**
 * Which node to use, without I/O: told which nodes there are and what happened at them, it says
 * which to use, why, and which to try when. A node is a number, the caller's. The caller reports
 * the outcome of every trial that `due` names, and of every connection, through `reached` or
 * `failed`; what is said of a node that is not here, or not any more, changes nothing.
 */
export class NodeChoice {
  readonly #options: NodeChoiceOptions;
  readonly #candidates = new Map<number, Candidate>();
  #preferred: number | undefined;
  #because: Because = { kind: 'drawn' };
  #movedAt = -Infinity;
  #failovers = 0;

  constructor(options: NodeChoiceOptions) {
    this.#options = options;
  }

  /** Until one was reached, the preferred one is drawn among all that are here. */
  add(node: number, label: string, now: number): void {
    assert(!this.#candidates.has(node));
    this.#candidates.set(node, {
      node,
      label,
      state: 'unknown',
      delayMs: undefined,
      samples: 0,
      roughMs: undefined,
      failures: 0,
      lastFailure: undefined,
      heardAt: -Infinity,
      suspectAt: Infinity,
      trialAt: now,
      earlyTrials: SAMPLES_MIN,
    });
    const candidates = [...this.#candidates.values()];
    if (candidates.some(({ heardAt }) => heardAt > -Infinity)) this.#preferred ??= node;
    else this.#preferred = this.#drawn(candidates);
  }

  /** Nothing new is to begin there. */
  remove(node: number, now: number): void {
    const candidate = this.#candidates.get(node);
    if (!candidate) return;
    this.#candidates.delete(node);
    if (node !== this.#preferred) return;
    this.#preferred = this.#ranked()[0]?.node;
    this.#because = { kind: 'withdrawn', label: candidate.label, at: now };
    this.#movedAt = now;
  }

  get size(): number {
    return this.#candidates.size;
  }

  /**
   * The node to keep warm connections at. When all have failed: the one that was left last.
   * Undefined when no node is here.
   */
  get preferred(): number | undefined {
    return this.#preferred;
  }

  /** Moves because a node failed that had been reached before. */
  get failovers(): number {
    return this.#failovers;
  }

  get deadline(): number {
    const trials = [...this.#candidates.values()].map(({ trialAt }) => trialAt);
    return Math.min(Infinity, this.#patienceEndsAt, ...trials);
  }

  get anyReached(): boolean {
    return this.#some(({ state }) => state === 'reached' || state === 'suspect');
  }

  /** Undefined when it is not here. */
  state(node: number): NodeState | undefined {
    return this.#candidates.get(node)?.state;
  }

  /** Monotonic time of the last good news; -Infinity before any. */
  heardAt(node: number): number {
    return this.#candidates.get(node)?.heardAt ?? -Infinity;
  }

  /** How long nothing need be heard of it: then it is a suspect, and after as long again silent. */
  patienceMs(node: number): number {
    const candidate = this.#candidates.get(node);
    const delayMs = candidate?.delayMs ?? candidate?.roughMs;
    if (delayMs === undefined) return PATIENCE_UNMEASURED_MS;
    return Math.max(PATIENCE_MIN_MS, delayMs * PATIENCE_RATIO);
  }

  /**
   * The nodes whose trial is due; they are under trial now. A suspect is not preferred any more
   * when it had its time to answer, if another is well.
   */
  due(now: number): readonly number[] {
    if (this.#patienceEndsAt <= now) this.#leave(now);
    const due = [...this.#candidates.values()].filter(({ trialAt }) => trialAt <= now);
    for (const candidate of due) candidate.trialAt = Infinity;
    return due.map(({ node }) => node);
  }

  /** False again as soon as there is any news of the node: then the trial has become pointless. */
  underTrial(node: number): boolean {
    return this.#candidates.get(node)?.trialAt === Infinity;
  }

  /**
   * The best node for a request that has not been tried there: the preferred one, other good ones
   * by delay, unknown ones, suspects. A failed one is the last resort, and only after its first
   * wait.
   */
  next(tried: ReadonlySet<number>, now: number): number | undefined {
    const open = this.#ranked().filter(({ node }) => !tried.has(node));
    const good = open.find(({ state }) => state !== 'failed');
    return (good ?? open.find((candidate) => this.#mayTryAgain(candidate, now)))?.node;
  }

  /** Whether a node is there that did not answer in time: it may yet. */
  get anySlow(): boolean {
    return this.#some(
      ({ state, lastFailure }) => state !== 'reached' && lastFailure?.code === 'timeout',
    );
  }

  /** Whether one is there that is well, beside this one. */
  anyOther(node: number): boolean {
    return this.#some((candidate) => candidate.node !== node && candidate.state === 'reached');
  }

  reached(node: number, now: number): void {
    const candidate = this.#candidates.get(node);
    if (!candidate) return;
    candidate.state = 'reached';
    candidate.failures = 0;
    candidate.heardAt = now;
    if (candidate.trialAt === Infinity) candidate.earlyTrials -= 1;
    candidate.trialAt = now + this.#trialMs(candidate);
    if (this.#preferredOne?.state === 'failed') this.#leave(now);
  }

  /** A handshake took this long. `sample`: it was a resumed one, and nothing else disturbed it. */
  measured(node: number, { delayMs, sample }: Measurement, now: number): void {
    const candidate = this.#candidates.get(node);
    if (!candidate) return;
    candidate.roughMs = delayMs;
    if (!sample) return;
    candidate.samples += 1;
    candidate.delayMs =
      candidate.delayMs === undefined
        ? delayMs
        : candidate.delayMs + SMOOTHING * (delayMs - candidate.delayMs);
    const preferred = this.#preferredOne;
    const [best] = this.#ranked().filter((other) => other !== preferred);
    if (!best || !preferred || now - this.#movedAt < DWELL_MS) return;
    if (!this.#gains(best, preferred)) return;
    this.#preferred = best.node;
    this.#movedAt = now;
    this.#because = { kind: 'faster' };
  }

  /** Something is wrong there, which a trial at once will clear up. Others go first meanwhile. */
  suspect(node: number, failure: NodeFailure, now: number): void {
    const candidate = this.#candidates.get(node);
    if (candidate?.state !== 'reached') return;
    candidate.state = 'suspect';
    candidate.suspectAt = now;
    candidate.lastFailure = { code: failure.code, message: failure.message, at: now };
    candidate.trialAt = now;
  }

  /**
   * Attempts that began before the last failure was known say nothing new. One that came to nothing
   * while the node answered others says that it is slow: a trial will tell, and others go first.
   */
  failed(node: number, failure: NodeFailure, startedAt: number, now: number): void {
    const candidate = this.#candidates.get(node);
    if (!candidate) return;
    const known = candidate.state === 'failed' ? (candidate.lastFailure?.at ?? 0) : -Infinity;
    if (startedAt < known) return;
    const lastFailure = { code: failure.code, message: failure.message, at: now };
    if (failure.code === 'timeout' && candidate.heardAt > startedAt) {
      if (candidate.state === 'reached') {
        candidate.state = 'suspect';
        candidate.suspectAt = now;
      }
      candidate.lastFailure = lastFailure;
      if (candidate.trialAt === Infinity) candidate.trialAt = now + this.#options.retryMs;
      return;
    }
    const waitMs = this.#options.retryMs * Math.min(2 ** candidate.failures, BACK_OFF_MAX);
    candidate.state = 'failed';
    candidate.failures += 1;
    candidate.lastFailure = lastFailure;
    candidate.trialAt = now + waitMs;
    if (node === this.#preferred && this.#ranked()[0]?.state !== 'failed') this.#leave(now);
  }

  /** Why the preferred node is preferred, as the end of "node X: …". */
  reason(now: number): string {
    const preferred = this.#preferredOne;
    if (!preferred) return 'no address of a node is known';
    const others = [...this.#candidates.values()].filter((candidate) => candidate !== preferred);
    return reasonFor({ preferred, others, because: this.#because }, now);
  }

  status(now: number): readonly NodeStatus[] {
    return [...this.#candidates.values()].map(
      ({ node, label, state, delayMs, failures, lastFailure, trialAt }) => ({
        node,
        label,
        state,
        delayMs,
        failures,
        lastFailure: lastFailure && {
          code: lastFailure.code,
          message: lastFailure.message,
          agoMs: now - lastFailure.at,
        },
        nextTrialMs: trialAt === Infinity ? 0 : Math.max(0, trialAt - now),
      }),
    );
  }

  get #preferredOne(): Candidate | undefined {
    return this.#preferred === undefined ? undefined : this.#candidates.get(this.#preferred);
  }

  /** Until then the preferred node, a suspect, may still show that it is well. */
  get #patienceEndsAt(): number {
    const preferred = this.#preferredOne;
    if (preferred?.state !== 'suspect' || !this.anyOther(preferred.node)) return Infinity;
    return preferred.suspectAt + this.patienceMs(preferred.node);
  }

  #some(holds: (candidate: Candidate) => boolean): boolean {
    return [...this.#candidates.values()].some(holds);
  }

  #drawn(candidates: readonly Candidate[]): number | undefined {
    const open = candidates.filter(({ state }) => state !== 'failed');
    const among = open.length > 0 ? open : candidates;
    return among[Math.floor(this.#options.random() * among.length)]?.node;
  }

  /** All nodes, the most promising first. */
  #ranked(): Candidate[] {
    const rank = { reached: 0, unknown: 1, suspect: 2, failed: 3 } as const;
    return [...this.#candidates.values()].sort((left, right) => {
      if (rank[left.state] !== rank[right.state]) return rank[left.state] - rank[right.state];
      if (left.node === this.#preferred) return -1;
      if (right.node === this.#preferred) return 1;
      if (left.state === 'failed') return left.trialAt - right.trialAt;
      return byDelay(left, right);
    });
  }

  #mayTryAgain({ lastFailure, trialAt }: Candidate, now: number): boolean {
    if (trialAt <= now) return true;
    if (!lastFailure || !isTransient(lastFailure.code)) return false;
    return now - lastFailure.at >= this.#options.retryMs;
  }

  #gains(challenger: Candidate, holder: Candidate): boolean {
    if (challenger.state !== 'reached' || holder.state !== 'reached') return false;
    if (challenger.samples < SAMPLES_MIN || holder.samples < SAMPLES_MIN) return false;
    const [before, after] = [holder.delayMs ?? 0, challenger.delayMs ?? Infinity];
    return after <= before * MOVE_RATIO && before - after >= MOVE_GAIN_MS;
  }

  #trialMs({ earlyTrials }: Candidate): number {
    const swing = 2 * this.#options.random() - 1;
    if (earlyTrials > 0) return EARLY_TRIAL_MS * (1 + EARLY_TRIAL_JITTER * swing);
    return TRIAL_MS * (1 + TRIAL_JITTER * swing);
  }

  /** The preferred node has failed, or gives no sign of life: the most promising other one is. */
  #leave(now: number): void {
    const left = this.#preferredOne;
    const best = this.#ranked().find((candidate) => candidate !== left);
    if (!left?.lastFailure || !best) return;
    const { message, at } = left.lastFailure;
    this.#because = { kind: 'failed', left, why: message, at };
    if (left.heardAt > -Infinity) this.#failovers += 1;
    this.#preferred = best.node;
    this.#movedAt = now;
  }
}
