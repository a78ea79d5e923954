import type { Cache } from '@argyle/cache';
import type { LinkMessage, Need, TransferRecord } from './message.ts';
import { differingBuckets, RecordFlow } from './record-flow.ts';

/** A partner that sends nothing for so long is given up. */
const SILENCE_MS = 3_000;

export interface ExchangeResult {
  readonly peer: string;
  /** Undefined when it is complete, else what went wrong, as a sentence. */
  readonly failure: string | undefined;
  readonly received: number;
  readonly sent: number;
}

/**
 * One exchange with a partner: pull the buckets that differ, merge them by version, then push what
 * the partner still lacks. A joiner needs it before it is ready; later it repairs differences.
 */
export class Exchange {
  readonly peer: string;
  readonly #id: number;
  readonly #cache: Cache;
  readonly #merge: (records: readonly TransferRecord[], now: number) => void;
  readonly #purge: (epoch: Uint8Array) => void;
  #pull: LinkMessage | undefined;
  #push: RecordFlow | undefined;
  #heardAt: number;
  #received = 0;
  #sent = 0;
  #result: ExchangeResult | undefined;

  constructor(options: {
    id: number;
    peer: string;
    cache: Cache;
    /** Undefined: take what is there; a joiner says what its donor must have applied. */
    needs: readonly Need[] | undefined;
    merge: (records: readonly TransferRecord[], now: number) => void;
    purge: (epoch: Uint8Array) => void;
    now: number;
  }) {
    const { id, needs } = options;
    this.#id = id;
    this.peer = options.peer;
    this.#cache = options.cache;
    this.#merge = options.merge;
    this.#purge = options.purge;
    const digests = this.#cache.bucketDigests();
    this.#pull = { kind: 'pull', id, needs, digests, epoch: this.#cache.purgeEpoch };
    this.#heardAt = options.now;
  }

  get deadline(): number {
    if (this.#result) return Infinity;
    return Math.min(this.#heardAt + SILENCE_MS, this.#push?.deadline ?? Infinity);
  }

  /** Set once it has ended. */
  get result(): ExchangeResult | undefined {
    return this.#result;
  }

  /** Records taken so far. */
  get received(): number {
    return this.#received;
  }

  handleMessage(message: LinkMessage, now: number): void {
    if (this.#result || message.id !== this.#id || this.#push) return;
    this.#heardAt = now;
    if (message.kind === 'records') {
      this.#received += message.records.length;
      this.#merge(message.records, now);
    } else if (message.kind === 'refuse') {
      this.fail(message.reason);
    } else if (message.kind === 'done') {
      this.#purge(message.epoch);
      const differing = differingBuckets(this.#cache.bucketDigests(), message.digests);
      this.#push = new RecordFlow(this.#cache, differing);
    }
  }

  handleDeadline(now: number): void {
    if (now >= this.#heardAt + SILENCE_MS) this.fail(`it sent nothing for ${SILENCE_MS} ms`);
  }

  drained(now: number): void {
    this.#heardAt = now;
    this.#push?.drained();
  }

  fail(failure: string): void {
    this.#end(failure);
  }

  poll(now: number, nowWall: number): LinkMessage | undefined {
    const pull = this.#pull;
    this.#pull = undefined;
    if (pull || this.#result || !this.#push) return pull;
    const records = this.#push.next(now, nowWall);
    if (records) {
      this.#sent += records.length;
      return { kind: 'records', id: 0, records };
    }
    if (this.#push.ended) this.#end(undefined);
    return undefined;
  }

  #end(failure: string | undefined): void {
    this.#result ??= { peer: this.peer, failure, received: this.#received, sent: this.#sent };
  }
}
