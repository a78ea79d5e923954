import type { Candidate } from './candidate.ts';

/** What the last move was for. */
export type Because =
  | { readonly kind: 'drawn' }
  | { readonly kind: 'faster' }
  | { readonly kind: 'withdrawn'; readonly label: string; readonly at: number }
  | {
      readonly kind: 'failed';
      readonly left: Candidate;
      readonly why: string;
      readonly at: number;
    };

/** How long a move because of a name is what is said of the node in use. */
const WITHDRAWN_TOLD_MS = 60_000;

export interface Preference {
  readonly preferred: Candidate;
  readonly others: readonly Candidate[];
  readonly because: Because;
}

/** Why a node is preferred, for people. */
export function reasonFor({ preferred, others, because }: Preference, now: number): string {
  if (because.kind === 'withdrawn' && now - because.at < WITHDRAWN_TOLD_MS) {
    return `${because.label} was withdrawn from its name, ${seconds(now - because.at)} ago`;
  }
  if (others.length === 0) return 'the only node';
  if (preferred.state === 'failed') return 'no node answers; this one was left last';
  if (because.kind === 'failed' && others.includes(because.left)) {
    const { label, state } = because.left;
    if (state !== 'reached') {
      return `${label} failed: ${because.why}, ${seconds(now - because.at)} ago`;
    }
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

/** Unmeasured ones last. */
export function byDelay(left: Candidate, right: Candidate): number {
  return (left.delayMs ?? Number.MAX_VALUE) - (right.delayMs ?? Number.MAX_VALUE);
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
