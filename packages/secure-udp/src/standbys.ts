import type { Candidate } from './candidate.ts';

/** What can be done about a candidate. */
export interface StandbyActions {
  hello(candidate: Candidate, now: number): void;
  probe(candidate: Candidate, now: number): void;
  /** Tells its node that it is no longer needed. */
  release(candidate: Candidate, now: number): void;
}

/** Candidates asked side by side, so far apart. */
const STAGGER_MS = 100;

/**
 * Keeps an epoch at so many of the candidates, the most preferred first. One that is doubtful does
 * not count, so that another is ready by the time that the doubt is settled. Answers when there is
 * something to do next.
 */
export function tendStandbys(
  others: readonly Candidate[],
  wanted: number,
  actions: StandbyActions,
  now: number,
): number {
  let next = Infinity;
  let missing = wanted;
  for (const candidate of others) {
    if (missing === 0) {
      if (candidate.epoch) actions.release(candidate, now);
      continue;
    }
    if (candidate.epoch) {
      if (now >= candidate.probeAt && candidate.gone) candidate.rest(now);
      else if (now >= candidate.probeAt) actions.probe(candidate, now);
    }
    if (!candidate.epoch && now >= candidate.standbyHelloAt) actions.hello(candidate, now);
    next = Math.min(next, candidate.epoch ? candidate.probeAt : candidate.standbyHelloAt);
    if (candidate.promising) missing -= 1;
  }
  return next;
}

/** From now on every candidate is asked, the most preferred first. */
export function beginSeeking(candidates: readonly Candidate[], now: number): void {
  candidates.forEach((candidate, index) => candidate.seek(now + index * STAGGER_MS));
}
