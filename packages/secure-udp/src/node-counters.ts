import type { RecordRefusal } from './record.ts';

/**
 * Why a record, or the rest of a datagram, changed nothing at a node. Besides what is wrong with
 * its header: `association`: nobody knows it; `trigger`: its epoch is unknown, and it is too short
 * to be answered, or no sender has such a sequence; `takes`: its epoch is unknown, and there were
 * too many lately; `crowded`: there are too many epochs at this node; `draining`: this node takes
 * nothing over; `replayed`: it came before; `old`: the replay window has passed it; `opening`:
 * another C than the one that opened the epoch; `authentication`: its seal is broken; `content`:
 * what was inside makes no sense; `left`: a payload in an epoch that this node has left, which the
 * client sends again elsewhere.
 */
export type NodeDropReason =
  | RecordRefusal
  | 'association'
  | 'trigger'
  | 'takes'
  | 'crowded'
  | 'draining'
  | 'replayed'
  | 'old'
  | 'opening'
  | 'authentication'
  | 'content'
  | 'left';

/**
 * Why something was not sent. `epoch`: the client has none here; `exhausted`: its epoch seals no
 * more; `address`: it is not proven, and has sent too little; `size`: larger than a datagram may
 * be.
 */
export type NodeUnsentReason = 'epoch' | 'exhausted' | 'address' | 'size';

/** What a node's associations have counted since the start. */
export class NodeCounters {
  readonly dropped = new Map<NodeDropReason, number>();
  readonly unsent = new Map<NodeUnsentReason, number>();
  /** Records that opened, and that were sealed. */
  opened = 0;
  sealed = 0;
  /** Payloads from clients, and to them. */
  payloadsIn = 0;
  payloadsOut = 0;
  takes = 0;
  epochsOpened = 0;
  /** That are held now. */
  epochs = 0;
  /** How often all epochs were forgotten, because the process had stood still. */
  stoodStill = 0;
  /** Addresses that a client moved to. */
  moves = 0;

  drop(reason: NodeDropReason): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1);
  }

  notSent(reason: NodeUnsentReason): void {
    this.unsent.set(reason, (this.unsent.get(reason) ?? 0) + 1);
  }
}
