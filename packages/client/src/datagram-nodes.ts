import type { Endpoint } from '@argyle/host';
import { endpointLabel } from './label.ts';
import type { KnownNode } from './nodes.ts';

/** Where a node takes datagrams: at the address and port that serve TLS. */
export interface DatagramNode {
  /** What its endpoint is called, and what associations call the node. */
  readonly name: string;
  readonly endpoint: Endpoint;
}

type Rank = 'preferred' | 'known' | 'unknown' | 'doubtful';
const RANKS: readonly Rank[] = ['preferred', 'known', 'unknown', 'doubtful'];
/**
 * So many trials in a row have failed. At the first, what is left to do there is the association's
 * own business: a node that drains says what it has relayed, and one that is dead is told by its
 * silence, faster.
 */
const FAILURES_MAX = 2;

/**
 * The nodes that associations may use, the one to prefer first: the preferred one, those that have
 * answered by their delay, those that nobody has asked. One that takes no TLS is none, unless there
 * are no others: an association does not stay where new requests cannot go. Suspects it judges by
 * itself. The order stays until a node changes its rank, so that a tenth of a millisecond makes no
 * association prepare itself elsewhere.
 */
export class DatagramNodes {
  #list: readonly DatagramNode[] = [];
  #ranked = '';

  get list(): readonly DatagramNode[] {
    return this.#list;
  }

  /** Whether there are others now, or in another order. */
  update(known: readonly KnownNode[], preferred: number | undefined): boolean {
    const here = known.filter(({ state }) => state !== 'leaving');
    const usable = here.filter(({ state, failures }) => {
      return state !== 'failed' || failures < FAILURES_MAX;
    });
    const ranked = (usable.length > 0 ? usable : here).map((node) => {
      return { ...node, rank: RANKS.indexOf(rankOf(node, preferred)) };
    });
    const summary = ranked.map(({ node, rank }) => `${node}:${rank}`).join();
    if (summary === this.#ranked) return false;
    this.#ranked = summary;
    const delay = ({ delayMs }: KnownNode) => delayMs ?? Number.MAX_VALUE;
    this.#list = ranked
      .toSorted((a, b) => a.rank - b.rank || delay(a) - delay(b))
      .map(({ endpoint }) => ({ name: endpointLabel(endpoint), endpoint }));
    return true;
  }
}

function rankOf({ node, state }: KnownNode, preferred: number | undefined): Rank {
  if (state === 'failed') return 'doubtful';
  if (node === preferred) return 'preferred';
  return state === 'unknown' ? 'unknown' : 'known';
}
