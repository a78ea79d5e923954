import type { RecordRefusal } from './record.ts';

/**
 * Why a record, or the rest of a datagram, changed nothing at a client. Besides what is wrong with
 * its header: `association`: of another one; `epoch`: of one that is not held; `replayed`: it came
 * before; `old`: the replay window has passed it; `authentication`: its seal is broken; `content`:
 * what was inside makes no sense; `take`: a TAKE that is forged; `stale take`: one that answers
 * nothing that was sent there lately and is still unanswered.
 */
export type ClientDropReason =
  | RecordRefusal
  | 'association'
  | 'epoch'
  | 'replayed'
  | 'old'
  | 'authentication'
  | 'content'
  | 'take'
  | 'stale take';

/** What one association of a client has counted. */
export class ClientCounters {
  readonly dropped = new Map<ClientDropReason, number>();
  /** Records that opened, and that were sent. */
  opened = 0;
  sent = 0;
  payloadsIn = 0;
  payloadsOut = 0;
  /** Payloads sent once more: because a node had left, and because it fell silent. */
  resentMissing = 0;
  resentUnsure = 0;
  /** Payloads refused: larger than a datagram may be. */
  tooLarge = 0;
  /** Payloads given up: they waited for a node too long, or too many did. */
  givenUp = 0;
  /** Without a receipt, and not sent again: too old or too many, or it is off. */
  unsure = 0;
  hellos = 0;
  probes = 0;
  epochsOpened = 0;
  /** How often all epochs were forgotten, because the process had stood still. */
  stoodStill = 0;
  /** A node that was left as silent, and answered soon after. */
  hasty = 0;

  drop(reason: ClientDropReason): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1);
  }
}
