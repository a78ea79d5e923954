import type { Endpoint } from '@argyle/host';
import type { OpenRefusal } from './keyring.ts';
import { SegmentKind, type SegmentKindName } from './segment.ts';

/**
 * Why a segment changed nothing. Besides those of opening it: `kind` unknown; `malformed` inside
 * the seal; `replayed`: its packet number came before; `stale`: overtaken by a newer one;
 * `excluded`: of an incarnation that is never admitted again; `not admitted`: of one not yet proven
 * alive; `not followed`: data before the sender has said where its stream begins for us; `beyond
 * window`; `duplicate`: sealed anew, but here already; `acknowledgement` or `request` of what was
 * never sent, or from one who has no say in it;
 * `name in use`; `candidates`: too many strangers at once.
 */
export type DropReason =
  | OpenRefusal
  | 'kind'
  | 'malformed'
  | 'replayed'
  | 'stale'
  | 'excluded'
  | 'not admitted'
  | 'not followed'
  | 'beyond window'
  | 'duplicate'
  | 'acknowledgement'
  | 'request'
  | 'name in use'
  | 'candidates';

/** What every network does now and then is counted, and not told. */
const ORDINARY: readonly DropReason[] = ['duplicate', 'replayed', 'stale'];
const SOURCES_TOLD_MAX = 256;

/** What a group has counted since its start. */
export class Counters {
  readonly sent = perKind();
  readonly received = perKind();
  readonly dropped = new Map<DropReason, number>();
  /** Segments of others that are gone, sent on to who missed them. */
  passedOn = 0;

  readonly #told = new Set<string>();

  count(reason: DropReason): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1);
  }

  /** True when the operator is to be told: once for each source and reason, at most 256 times. */
  drop(reason: DropReason, from: Endpoint): boolean {
    this.count(reason);
    if (ORDINARY.includes(reason) || this.#told.size >= SOURCES_TOLD_MAX) return false;
    const source = `${from.address} ${reason}`;
    if (this.#told.has(source)) return false;
    this.#told.add(source);
    return true;
  }
}

function perKind(): Record<SegmentKindName, number> {
  const counts = {} as Record<SegmentKindName, number>;
  for (const name of Object.keys(SegmentKind) as SegmentKindName[]) counts[name] = 0;
  return counts;
}
