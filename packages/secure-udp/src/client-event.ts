import type { EndReason } from './content.ts';

/**
 * Why another node is in use. `silent`: it answered nothing; `refused`: nobody listens there;
 * `left`: it said that it leaves; `taken`: a balancer or a restart led elsewhere; `removed`: it is
 * no candidate any more.
 */
export type MoveReason = 'silent' | 'refused' | 'left' | 'taken' | 'removed';

export type ClientEvent =
  /** Of the target's. A view of memory that is the driver's from now on. */
  | { readonly kind: 'payload'; readonly payload: Uint8Array }
  /** A node has answered: the first, or again after `unreachable` or standing still. */
  | { readonly kind: 'reached'; readonly endpoint: string }
  /** Payloads go to another node, or to another life of it. */
  | { readonly kind: 'moved'; readonly to: string; readonly reason: MoveReason }
  /** No candidate has answered for some seconds; they are asked on. UDP may be blocked. */
  | { readonly kind: 'unreachable' }
  /** Nothing more will be sent or received. */
  | { readonly kind: 'ended'; readonly reason: EndReason };
