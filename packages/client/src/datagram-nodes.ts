import type { Endpoint } from '@argyle/host';
import { endpointLabel } from './label.ts';
import type { KnownNode } from './nodes.ts';

/** Where a node takes datagrams: at the address and port that serve TLS. */
export interface DatagramNode {
  /** What its endpoint is called, and what associations call the node. */
  readonly name: string;
  readonly endpoint: Endpoint;
}

type Rank = 'preferred' | 'known' | 'unknown';
const RANKS: readonly Rank[] = ['preferred', 'known', 'unknown'];

/**
 * The nodes that associations may use, the one to prefer first: the preferred one, those that have
 * answered by their delay, those that nobody has asked. A failed one is none, unless all are: an
 * association does not stay where new requests cannot go, and a suspect it judges by itself. The
 * order stays until a node changes its rank, so that a tenth of a millisecond makes no association
 * prepare itself elsewhere.
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
    const usable = here.filter(({ state }) => state !== 'failed');
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
  if (node === preferred) return 'preferred';
  return state === 'unknown' ? 'unknown' : 'known';
}
