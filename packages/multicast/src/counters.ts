import type { OpenRefusal } from './keyring.ts';
import { SegmentKind, type SegmentKindName } from './segment.ts';

/**
 * Why a segment changed nothing. Besides those of opening it: `kind` unknown; `malformed` inside
 * the seal; `stale`: overtaken by a newer one, or replayed; `excluded`: of an incarnation that is
 * never admitted again; `not admitted`: of one not yet proven alive; `not followed`: data before
 * the
 * sender has said where its stream begins for us; `beyond window`; `duplicate`; `acknowledgement`
 * of what was never sent; `name in use`; `candidates`: too many strangers at once.
 */
export type DropReason =
  | OpenRefusal
  | 'kind'
  | 'malformed'
  | 'stale'
  | 'excluded'
  | 'not admitted'
  | 'not followed'
  | 'beyond window'
  | 'duplicate'
  | 'acknowledgement'
  | 'name in use'
  | 'candidates';

/** What a group has counted since its start. */
export class Counters {
  readonly sent = perKind();
  readonly received = perKind();
  readonly dropped = new Map<DropReason, number>();

  drop(reason: DropReason): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1);
  }
}

function perKind(): Record<SegmentKindName, number> {
  const counts = {} as Record<SegmentKindName, number>;
  for (const name of Object.keys(SegmentKind) as SegmentKindName[]) counts[name] = 0;
  return counts;
}
