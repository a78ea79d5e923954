import type { Cache } from '@argyle/cache';
import type { LinkMessage, Need } from './message.ts';
import { differingBuckets, RecordFlow } from './record-flow.ts';

/** A donor that cannot meet a joiner's needs by then says so; the joiner asks another. */
const NEEDS_TIMEOUT_MS = 2_000;
const NEEDS_CHECK_MS = 10;
const TRANSFERS_MAX = 8;

export interface DonorView {
  /** Incarnations of the other members in this member's view. */
  members(): readonly string[];
  /**
   * Up to where every message of the member's stream that begins there was applied here; undefined
   * for who is not in the view.
   */
  applied(incarnation: string): number | undefined;
}

interface Transfer {
  readonly peer: string;
  readonly id: number;
  readonly needs: readonly Need[] | undefined;
  readonly digests: Uint8Array;
  readonly askedAt: number;
  /** Undefined until the needs are met. */
  flow: RecordFlow | undefined;
}

/**
 * Answers pulls. A snapshot begins only when this member has applied, of every stream, what came
 * before the joiner's part of it, so that snapshot and live stream leave no hole between them.
 */
export class Donor {
  readonly #cache: Cache;
  readonly #view: DonorView;
  #transfers: Transfer[] = [];
  readonly #refusals: { peer: string; message: LinkMessage }[] = [];

  constructor(cache: Cache, view: DonorView) {
    this.#cache = cache;
    this.#view = view;
  }

  /** When the needs of those who wait should be looked at again. */
  needsDeadline(now: number): number {
    return this.#transfers.some(({ flow }) => !flow) ? now + NEEDS_CHECK_MS : Infinity;
  }

  /** When `poll` has more for those who are served. */
  get flowDeadline(): number {
    return Math.min(...this.#transfers.map(({ flow }) => flow?.deadline ?? Infinity));
  }

  handlePull(peer: string, pull: LinkMessage & { kind: 'pull' }, now: number): void {
    this.drop(peer);
    if (this.#transfers.length >= TRANSFERS_MAX) {
      const reason = `it serves ${TRANSFERS_MAX} other members`;
      this.#refusals.push({ peer, message: { kind: 'refuse', id: pull.id, reason } });
      return;
    }
    const { id, needs, digests } = pull;
    this.#transfers.push({ peer, id, needs, digests, askedAt: now, flow: undefined });
  }

  drained(peer: string): void {
    for (const { peer: to, flow } of this.#transfers) if (to === peer) flow?.drained();
  }

  drop(peer: string): void {
    this.#transfers = this.#transfers.filter((transfer) => transfer.peer !== peer);
  }

  dropAll(): void {
    this.#transfers = [];
  }

  poll(now: number, nowWall: number): { peer: string; message: LinkMessage } | undefined {
    const refusal = this.#refusals.shift();
    if (refusal) return refusal;
    for (const transfer of this.#transfers) {
      const message = this.#advance(transfer, now, nowWall);
      if (message) return { peer: transfer.peer, message };
    }
    return undefined;
  }

  #advance(transfer: Transfer, now: number, nowWall: number): LinkMessage | undefined {
    const { peer, id } = transfer;
    if (!transfer.flow) {
      const lacking = this.#lacking(transfer);
      if (lacking !== undefined) {
        if (now - transfer.askedAt < NEEDS_TIMEOUT_MS) return undefined;
        this.drop(peer);
        return { kind: 'refuse', id, reason: lacking };
      }
      const buckets = differingBuckets(this.#cache.bucketDigests(), transfer.digests);
      transfer.flow = new RecordFlow(this.#cache, buckets);
    }
    const records = transfer.flow.next(now, nowWall);
    if (records) return { kind: 'records', id, records };
    if (!transfer.flow.ended) return undefined;
    this.drop(peer);
    // Who joined meanwhile may have written what neither the snapshot nor the joiner has seen.
    const reason = this.#unnamed(transfer);
    if (reason !== undefined) return { kind: 'refuse', id, reason };
    const digests = this.#cache.bucketDigests();
    return { kind: 'done', id, epoch: this.#cache.purgeEpoch, digests };
  }

  /** What is still missing here, as a sentence; undefined when nothing is. */
  #lacking(transfer: Transfer): string | undefined {
    const unnamed = this.#unnamed(transfer);
    if (unnamed !== undefined) return unnamed;
    for (const { incarnation, sequence } of transfer.needs ?? []) {
      const applied = this.#view.applied(incarnation);
      if (applied === undefined) return `member ${incarnation} is not in the donor's view`;
      if (applied < sequence) return `it has applied ${applied} of ${sequence} of ${incarnation}`;
    }
    return undefined;
  }

  #unnamed({ peer, needs }: Transfer): string | undefined {
    if (!needs) return undefined;
    const named = new Set(needs.map(({ incarnation }) => incarnation));
    const unnamed = this.#view.members().find((member) => member !== peer && !named.has(member));
    return unnamed && `member ${unnamed} has not admitted the joiner`;
  }
}
