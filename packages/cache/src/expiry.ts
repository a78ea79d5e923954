import { coversAt, GAP, GROUP_MS, RECORD, sizeAt, stateAt, versionAt } from './entry.ts';
import type { Segment } from './segments.ts';
import type { Store } from './store.ts';

/**
 * Removes what is due, a segment at a time, until `budget` entries were looked at; answers how many
 * left. Which entries leave depends on their own times alone, not on where they lie, so that
 * replicas that hold the same go on holding the same.
 */
export function expire(store: Store, nowWall: number, budget: number): number {
  const { segments } = store;
  if (segments.dueAt > nowWall) return 0;
  let left = 0;
  let looked = 0;
  for (let i = 0; i < segments.log.length && looked < budget;) {
    const segment = segments.log[i]!;
    if (segment.dueAt > nowWall) {
      i += 1;
      continue;
    }
    segment.dueAt = Infinity;
    const { view } = segment;
    for (let at = 0; at < segment.end; at += sizeAt(view, at)) {
      looked += 1;
      if (stateAt(view, at) !== GAP && expireAt(store, segment, at, nowWall)) left += 1;
    }
    if (!segments.freeIfEmpty(segment)) i += 1;
  }
  segments.renewDueAt();
  return left;
}

/** Answers whether the entry left; else notes in the segment when it will. */
function expireAt(store: Store, segment: Segment, at: number, nowWall: number): boolean {
  const { bytes, view } = segment;
  const dueAt = store.dueAt(view, at);
  if (dueAt > nowWall) {
    store.segments.expect(segment, dueAt);
    return false;
  }
  const covers = coversAt(view, at);
  const outlived = stateAt(view, at) === RECORD && covers * GROUP_MS > dueAt;
  if (outlived && store.tombstoneEnd(covers) > nowWall) {
    store.bury(segment, at, versionAt(bytes, at), covers);
    return false;
  }
  store.drop(segment, at);
  return true;
}
