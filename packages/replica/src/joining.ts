/** How long a member that hears of no ready one looks for others before it goes on without. */
export const DISCOVERY_MS = 1_000;
/** A donor that failed is left alone for so long. */
export const DONOR_RETRY_MS = 200;

export interface Neighbour {
  readonly incarnation: string;
  readonly name: string;
  readonly ready: boolean;
  readonly uptimeMs: number;
  /** It has said where its stream begins for us. */
  readonly followed: boolean;
  readonly linked: boolean;
  /** Its last attempt as our donor failed lately. */
  readonly failed: boolean;
  /** A whole exchange with it has succeeded since we began to join. */
  readonly exchanged: boolean;
}

export type JoinStep =
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'exchange'; readonly incarnation: string }
  | { readonly kind: 'ready' };

/**
 * What a member that is not ready does next. From a ready member one exchange is enough. Where
 * nobody is ready, the member with the least incarnation goes first: it takes what every other one
 * has; the rest then take it from there. Nobody becomes ready because something timed out.
 */
export function nextJoinStep(view: {
  readonly own: string;
  readonly joiningMs: number;
  readonly neighbours: readonly Neighbour[];
}): JoinStep {
  const { own, joiningMs, neighbours } = view;
  const unfollowed = neighbours.find(({ followed }) => !followed);
  if (unfollowed) return wait(`${unfollowed.name} has not yet said where its stream begins`);
  const ready = neighbours.filter((neighbour) => neighbour.ready);
  if (ready.length > 0) return exchangeWith(ready);
  if (joiningMs < DISCOVERY_MS) return wait('looking for other members');
  const [first] = neighbours.filter(({ incarnation }) => incarnation < own);
  if (first) return wait(`nobody is ready, and ${first.name} goes first`);
  const unmet = neighbours.filter(({ exchanged }) => !exchanged);
  return unmet.length > 0 ? exchangeWith(unmet) : { kind: 'ready' };
}

function exchangeWith(donors: readonly Neighbour[]): JoinStep {
  const usable = donors.filter(({ linked, failed }) => linked && !failed);
  const [oldest] = usable.toSorted((a, b) => b.uptimeMs - a.uptimeMs);
  if (oldest) return { kind: 'exchange', incarnation: oldest.incarnation };
  return wait(`no link to ${donors.map(({ name }) => name).join(', ')} yet`);
}

function wait(reason: string): JoinStep {
  return { kind: 'wait', reason };
}
