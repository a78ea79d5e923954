import type { ClientErrorCode } from './errors.ts';

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
  readonly node: number;
  readonly label: string;
  readonly state: NodeState;
  /** Smoothed time of a resumed TLS handshake; undefined until one was measured. */
  readonly delayMs: number | undefined;
  readonly failures: number;
  readonly lastFailure: (NodeFailure & { readonly agoMs: number }) | undefined;
  /** Until the next trial, also of a node that is well. */
  readonly nextTrialMs: number;
}

/** A node, as the choice among nodes knows it. Times are the host's. */
export interface Candidate {
  readonly node: number;
  readonly label: string;
  state: NodeState;
  delayMs: number | undefined;
  samples: number;
  /** The last handshake, of whatever kind and however disturbed. */
  roughMs: number | undefined;
  /** In a row. */
  failures: number;
  lastFailure: (NodeFailure & { readonly at: number }) | undefined;
  heardAt: number;
  suspectAt: number;
  /** Infinity while a trial is under way. */
  trialAt: number;
  earlyTrials: number;
}
