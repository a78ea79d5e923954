import { readCount } from '@argyle/host';
import type { Candidate } from './candidate.ts';
import type { Candidates } from './candidates.ts';
import type { ClientCounters, ClientDropReason } from './client-counters.ts';
import { ClientEpoch } from './client-epoch.ts';
import { TAKE_ACCEPTED_MS } from './constants.ts';
import type { AssociationKeys } from './key-schedule.ts';
import { NO_EPOCH, RANDOM_BYTES, SEQUENCE_OFFSET, type UdpRecord } from './record.ts';
import type { SuiteName } from './suite.ts';
import { encodeHello, openTake, type Take } from './take.ts';

/**
 * What a TAKE in answer to a HELLO is for: `use` moves there while a node is sought, `renew` gives
 * the node in use another epoch, and `standby` moves nothing.
 */
export type Purpose = 'use' | 'standby' | 'renew';

/** A TAKE that was accepted. */
export interface Acceptance {
  readonly candidate: Candidate;
  readonly epoch: ClientEpoch;
  /** What the record that it answered was for; for a record of an epoch, the epoch. */
  readonly trigger: Purpose | ClientEpoch;
  readonly triggerSequence: number;
}

interface Hello {
  readonly endpoint: string;
  readonly purpose: Purpose;
  readonly at: number;
}

const HELLOS_MAX = 64;

/** The client's side of the take-over: which TAKE is an answer to something of its own. */
export class ClientTakeOver {
  readonly #id: string;
  readonly #suite: SuiteName;
  readonly #keys: AssociationKeys;
  readonly #random: (sizeBytes: number) => Uint8Array;
  readonly #candidates: Candidates;
  readonly #counters: ClientCounters;
  /** HELLOs that no TAKE has answered yet, by their random sequence. */
  readonly #hellos = new Map<number, Hello>();

  constructor(options: {
    readonly id: string;
    readonly suite: SuiteName;
    readonly keys: AssociationKeys;
    readonly random: (sizeBytes: number) => Uint8Array;
    readonly candidates: Candidates;
    readonly counters: ClientCounters;
  }) {
    this.#id = options.id;
    this.#suite = options.suite;
    this.#keys = options.keys;
    this.#random = options.random;
    this.#candidates = options.candidates;
    this.#counters = options.counters;
  }

  hello(candidate: Candidate, purpose: Purpose, now: number): Buffer {
    for (const [oldest, { at }] of this.#hellos) {
      if (this.#hellos.size < HELLOS_MAX && at > now - TAKE_ACCEPTED_MS) break;
      this.#hellos.delete(oldest);
    }
    const bytes = encodeHello(this.#id, this.#random);
    const { endpoint } = candidate;
    this.#hellos.set(readCount(bytes, SEQUENCE_OFFSET), { endpoint, purpose, at: now });
    candidate.asked(purpose, now);
    this.#counters.hellos += 1;
    return bytes;
  }

  /** From wherever `record` came; each record of ours has at most one TAKE. */
  accept(record: UdpRecord, from: string, now: number): Acceptance | ClientDropReason {
    const take = openTake(record, this.#keys);
    if (!take) return 'take';
    const { triggerEpoch, triggerSequence } = take;
    const sent =
      triggerEpoch === NO_EPOCH
        ? this.#hello(triggerSequence)
        : this.#recordOf(triggerEpoch, triggerSequence);
    if (!sent || sent.candidate.endpoint !== from) return 'stale take';
    if (now - sent.at >= TAKE_ACCEPTED_MS) return 'stale take';
    sent.use();
    const epoch = this.#candidates.epoch(take.epoch) ?? this.#newEpoch(take, from, now);
    if (epoch.endpoint !== from || epoch.forgotten) return 'stale take';
    epoch.roundTrips.measured(now - sent.at);
    return { candidate: sent.candidate, epoch, trigger: sent.trigger, triggerSequence };
  }

  /** Nothing that was sent until now can be answered any more. */
  clear(): void {
    this.#hellos.clear();
  }

  #hello(sequence: number) {
    const hello = this.#hellos.get(sequence);
    // It may be no candidate any more, or one again.
    const candidate = hello && this.#candidates.at(hello.endpoint);
    if (!candidate) return undefined;
    const { purpose, at } = hello;
    return { candidate, at, trigger: purpose, use: () => this.#hellos.delete(sequence) };
  }

  #recordOf(id: string, sequence: number) {
    const epoch = this.#candidates.epoch(id);
    const candidate = epoch && this.#candidates.holder(epoch);
    const at = epoch?.triggerSentAt(sequence);
    if (!epoch || !candidate || at === undefined) return undefined;
    return { candidate, at, trigger: epoch, use: () => epoch.useTrigger(sequence) };
  }

  #newEpoch({ epoch, nodeRandom }: Take, endpoint: string, now: number): ClientEpoch {
    const clientRandom = Uint8Array.from(this.#random(RANDOM_BYTES));
    const ciphers = this.#keys.epochCiphers({
      epoch: Buffer.from(epoch, 'hex'),
      nodeRandom,
      clientRandom,
    });
    this.#counters.epochsOpened += 1;
    const [id, association, suite] = [epoch, this.#id, this.#suite];
    return new ClientEpoch({ id, association, endpoint, suite, ciphers, clientRandom }, now);
  }
}
