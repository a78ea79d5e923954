import type { Endpoint } from '@argyle/host';
import type { DropReason } from './counters.ts';
import type { Way } from './hearing.ts';
import type { LinkEvent } from './links.ts';
import type { ExclusionReason } from './membership.ts';
import type { WriteEnd } from './write-queue.ts';
import type { Peer } from './peer.ts';

/** What a group tells the layer above. */
export type GroupEvent =
  /** To be applied before the next `pollEvent`, which acknowledges it. */
  | { readonly kind: 'message'; readonly from: string; readonly message: Uint8Array }
  | WriteEnd
  | { readonly kind: 'joined'; readonly peer: Peer }
  | { readonly kind: 'gone'; readonly peer: Peer; readonly reason: ExclusionReason }
  /** This member has a new incarnation, an empty view, and has missed what was sent meanwhile. */
  | { readonly kind: 'restarted'; readonly reason: string }
  /** A live member bears our name: this one must end. */
  | { readonly kind: 'refused'; readonly by: Endpoint }
  /** A segment was dropped, told once for each source and reason. */
  | { readonly kind: 'dropped'; readonly reason: DropReason; readonly from: Endpoint }
  /** A part of that one's stream did not come here, and comes no more. */
  | { readonly kind: 'missed'; readonly peer: Peer }
  /** This member hears that one so, lastingly, and wants to be reached so. */
  | { readonly kind: 'heard'; readonly peer: Peer; readonly by: Way }
  /** Multicast does not come: the group was joined anew, in case a switch forgot this member. */
  | { readonly kind: 'rejoined' }
  | { readonly kind: 'link'; readonly event: LinkEvent };
