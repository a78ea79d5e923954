import assert from 'node:assert/strict';
import { isTransient, type ClientErrorCode } from './errors.ts';

export interface NodeChoiceOptions {
  /** One label a node; a node is its index here. */
  readonly nodes: readonly string[];
  /** A failed node is tried again after this, doubled up to sixteen times it. */
  readonly retryMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * `unknown`: never reached. `reached`: the last that was heard of it was good. `suspect`: it broke
 * a connection or is slow to answer; a trial is due at once. `failed`: the last trial failed.
 */
export type NodeState = 'unknown' | 'reached' | 'suspect' | 'failed';

export interface NodeFailure {
  readonly code: ClientErrorCode;
  readonly message: string;
}

export interface NodeStatus {
  readonly label: string;
  readonly state: NodeState;
  /** Smoothed time of a resumed TLS handshake; undefined until one was measured. */
  readonly delayMs: number | undefined;
  readonly failures: number;
  readonly lastFailure: (NodeFailure & { readonly agoMs: number }) | undefined;
  /** Until the next trial, also of a node that is well. */
  readonly nextTrialMs: number;
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
/** Nobody was resumed there yet: there may be a full handshake and a password check. */
const PATIENCE_UNMEASURED_MS = 1_000;

interface Candidate {
  readonly label: string;
  state: NodeState;
  delayMs: number | undefined;
  samples: number;
  /** In a row. */
  failures: number;
  lastFailure: (NodeFailure & { readonly at: number }) | undefined;
  heardAt: number;
  /** Infinity while a trial is under way. */
  trialAt: number;
  earlyTrials: number;
}

type Because =
  | { readonly kind: 'drawn' }
  | { readonly kind: 'faster' }
  | {
      readonly kind: 'failed';
      readonly left: Candidate;
      readonly why: string;
      readonly at: number;
    };

/**
 * Which node to use, without I/O: told what happened at the nodes, it says which to use, why, and
 * which to try when. The caller reports the outcome of every trial that `due` names, and of every
 * connection, through `reached` or `failed`.
 */
export class NodeChoice {
  readonly #options: NodeChoiceOptions;
  readonly #candidates: readonly Candidate[];
  #preferred: number;
  #because: Because = { kind: 'drawn' };
  #movedAt = -Infinity;
  #failovers = 0;

  constructor(options: NodeChoiceOptions, now: number) {
    assert(options.nodes.length > 0);
    this.#options = options;
    this.#candidates = options.nodes.map((label) => ({
      label,
      state: 'unknown',
      delayMs: undefined,
      samples: 0,
      failures: 0,
      lastFailure: undefined,
      heardAt: -Infinity,
      trialAt: now,
      earlyTrials: SAMPLES_MIN,
    }));
    this.#preferred = Math.floor(options.random() * options.nodes.length);
  }

  /** The node to keep warm connections at. When all have failed: the one that was left last. */
  get preferred(): number {
    return this.#preferred;
  }

  /** Moves because a node failed that had been reached before. */
  get failovers(): number {
    return this.#failovers;
  }

  get deadline(): number {
    return Math.min(...this.#candidates.map(({ trialAt }) => trialAt));
  }

  get anyReached(): boolean {
    return this.#candidates.some(({ state }) => state === 'reached' || state === 'suspect');
  }

  state(node: number): NodeState {
    return this.#at(node).state;
  }

  /** Monotonic time of the last good news; -Infinity before any. */
  heardAt(node: number): number {
    return this.#at(node).heardAt;
  }

  /** How long nothing need be heard of it: then it is a suspect, and after as long again silent. */
  patienceMs(node: number): number {
    const { delayMs } = this.#at(node);
    if (delayMs === undefined) return PATIENCE_UNMEASURED_MS;
    return Math.max(PATIENCE_MIN_MS, delayMs * PATIENCE_RATIO);
  }

  /** The nodes whose trial is due; they are under trial now. */
  due(now: number): readonly number[] {
    const due: number[] = [];
    this.#candidates.forEach((candidate, node) => {
      if (candidate.trialAt > now) return;
      candidate.trialAt = Infinity;
      due.push(node);
    });
    return due;
  }

  /** False again as soon as there is any news of the node: then the trial has become pointless. */
  underTrial(node: number): boolean {
    return this.#at(node).trialAt === Infinity;
  }

  /**
   * The best node for a request that has not been tried there: the preferred one, other good ones
   * by delay, unknown ones, suspects. A failed one is the last resort, and only after its first
   * wait.
   */
  next(tried: ReadonlySet<number>, now: number): number | undefined {
    const open = this.#ranked().filter((node) => !tried.has(node));
    const good = open.find((node) => this.#at(node).state !== 'failed');
    return good ?? open.find((node) => this.#mayTryAgain(this.#at(node), now));
  }

  /** Whether a node is there that did not answer in time: it may yet. */
  get anySlow(): boolean {
    return this.#candidates.some(
      ({ state, lastFailure }) => state !== 'reached' && lastFailure?.code === 'timeout',
    );
  }

  reached(node: number, now: number): void {
    const candidate = this.#at(node);
    candidate.state = 'reached';
    candidate.failures = 0;
    candidate.heardAt = now;
    if (candidate.trialAt === Infinity) candidate.earlyTrials -= 1;
    candidate.trialAt = now + this.#trialMs(candidate);
    if (this.#at(this.#preferred).state === 'failed') this.#leaveFor(node, now);
  }

  /** A resumed handshake took this long. */
  measured(node: number, delayMs: number, now: number): void {
    const candidate = this.#at(node);
    candidate.samples += 1;
    candidate.delayMs =
      candidate.delayMs === undefined
        ? delayMs
        : candidate.delayMs + SMOOTHING * (delayMs - candidate.delayMs);
    const [best] = this.#ranked().filter((other) => other !== this.#preferred);
    if (best === undefined || now - this.#movedAt < DWELL_MS) return;
    if (!this.#gains(this.#at(best), this.#at(this.#preferred))) return;
    this.#preferred = best;
    this.#movedAt = now;
    this.#because = { kind: 'faster' };
  }

  /** Something is wrong there, which a trial at once will clear up. Others go first meanwhile. */
  suspect(node: number, failure: NodeFailure, now: number): void {
    const candidate = this.#at(node);
    if (candidate.state !== 'reached') return;
    candidate.state = 'suspect';
    candidate.lastFailure = { code: failure.code, message: failure.message, at: now };
    candidate.trialAt = now;
  }

  /**
   * Attempts that began before the last failure was known say nothing new. One that came to nothing
   * while the node answered others says that it is slow: a trial will tell, and others go first.
   */
  failed(node: number, failure: NodeFailure, startedAt: number, now: number): void {
    const candidate = this.#at(node);
    const known = candidate.state === 'failed' ? (candidate.lastFailure?.at ?? 0) : -Infinity;
    if (startedAt < known) return;
    if (failure.code === 'timeout' && candidate.heardAt > startedAt) {
      if (candidate.state === 'reached') candidate.state = 'suspect';
      candidate.lastFailure = { code: failure.code, message: failure.message, at: now };
      if (candidate.trialAt === Infinity) candidate.trialAt = now + this.#options.retryMs;
      return;
    }
    const waitMs = this.#options.retryMs * Math.min(2 ** candidate.failures, BACK_OFF_MAX);
    candidate.state = 'failed';
    candidate.failures += 1;
    candidate.lastFailure = { code: failure.code, message: failure.message, at: now };
    candidate.trialAt = now + waitMs;
    const [best] = this.#ranked();
    if (node !== this.#preferred || best === undefined) return;
    if (this.#at(best).state !== 'failed') this.#leaveFor(best, now);
  }

  /** Why the preferred node is preferred, as the end of "node X: …". */
  reason(now: number): string {
    const preferred = this.#at(this.#preferred);
    const others = this.#candidates.filter((candidate) => candidate !== preferred);
    if (others.length === 0) return 'the only node';
    if (preferred.state === 'failed') return 'no node answers; this one was left last';
    const because = this.#because;
    if (because.kind === 'failed' && because.left.state === 'failed') {
      return `${because.left.label} failed: ${because.why}, ${seconds(now - because.at)} ago`;
    }
    if (others.every(({ state }) => state === 'failed')) return 'the only node that answers';
    const [rival] = others.filter(({ state }) => state === 'reached').sort(byDelay);
    if (preferred.delayMs === undefined || rival?.delayMs === undefined) {
      return 'drawn at random: too little was measured yet';
    }
    const [own, other] = [milliseconds(preferred.delayMs), milliseconds(rival.delayMs)];
    if (preferred.delayMs <= rival.delayMs) return `fastest: ${own} against ${other}`;
    return `kept: ${own} is not worth a move to ${rival.label} with ${other}`;
  }

  status(now: number): readonly NodeStatus[] {
    return this.#candidates.map(({ label, state, delayMs, failures, lastFailure, trialAt }) => ({
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
    }));
  }

  #at(node: number): Candidate {
    const candidate = this.#candidates[node];
    assert(candidate);
    return candidate;
  }

  /** All nodes, the most promising first. */
  #ranked(): number[] {
    const rank = { reached: 0, unknown: 1, suspect: 2, failed: 3 } as const;
    return [...this.#candidates.keys()].sort((a, b) => {
      const [left, right] = [this.#at(a), this.#at(b)];
      if (rank[left.state] !== rank[right.state]) return rank[left.state] - rank[right.state];
      if (a === this.#preferred) return -1;
      if (b === this.#preferred) return 1;
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

  /** The preferred node has failed. */
  #leaveFor(node: number, now: number): void {
    const left = this.#at(this.#preferred);
    if (node === this.#preferred || !left.lastFailure) return;
    const { message, at } = left.lastFailure;
    this.#because = { kind: 'failed', left, why: message, at };
    if (left.heardAt > -Infinity) this.#failovers += 1;
    this.#preferred = node;
    this.#movedAt = now;
  }
}

/** Unmeasured ones last. */
function byDelay(left: Candidate, right: Candidate): number {
  return (left.delayMs ?? Number.MAX_VALUE) - (right.delayMs ?? Number.MAX_VALUE);
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
