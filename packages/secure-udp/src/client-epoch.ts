import { ReplayWindow } from '@argyle/host';
import { EPOCH_IDLE_MS, REKEY_MS } from './constants.ts';
import {
  encodeData,
  encodeProbe,
  type Receipt,
  TOKEN_BYTES,
  TRIGGERING_PROBE_BYTES,
} from './content.ts';
import type { EpochCiphers } from './key-schedule.ts';
import { HEADER_BYTES, type UdpRecord } from './record.ts';
import { RecordSealer } from './record-sealer.ts';
import { RoundTrips } from './round-trips.ts';
import { type SentPayload, SentPayloads } from './sent-payloads.ts';
import type { SuiteName } from './suite.ts';

/** Of those that nobody has answered. */
const PROBES_MAX = 16;
const IN_FLIGHT_MAX = 8_192;

/** One epoch at a client: with one node, in memory only. */
export class ClientEpoch {
  readonly id: string;
  /** The endpoint that its TAKE came from: all its records go there. */
  readonly endpoint: string;
  readonly roundTrips = new RoundTrips();
  readonly sent = new SentPayloads();
  readonly #ciphers: EpochCiphers;
  readonly #sealer: RecordSealer;
  readonly #window = new ReplayWindow();
  readonly #startedAt: number;
  readonly #probes = new Map<number, { readonly token: Buffer; readonly at: number }>();
  /** What a receipt should come for, and has not, oldest first. */
  #inFlight: { readonly sequence: number; readonly at: number }[] = [];
  #validAt: number;
  #confirmed = false;
  /** When what was left in `sent` is to be sent elsewhere. */
  resendAt = Infinity;
  /** This process may not be the only one with the keys: nothing more is sealed. */
  forgotten = false;

  constructor(
    opening: {
      readonly id: string;
      readonly association: string;
      readonly endpoint: string;
      readonly suite: SuiteName;
      readonly ciphers: EpochCiphers;
      readonly clientRandom: Uint8Array;
    },
    now: number,
  ) {
    this.id = opening.id;
    this.endpoint = opening.endpoint;
    this.#ciphers = opening.ciphers;
    this.#sealer = new RecordSealer({
      suite: opening.suite,
      cipher: opening.ciphers.clientToNode,
      association: opening.association,
      epoch: opening.id,
      clientRandom: opening.clientRandom,
    });
    this.#startedAt = now;
    this.#validAt = now;
  }

  /** The node has it too: a record of the node's opened. */
  get confirmed(): boolean {
    return this.#confirmed;
  }

  /** It seals nothing more. */
  get spent(): boolean {
    return this.forgotten || this.#sealer.exhausted;
  }

  /** When the node's last valid record came. */
  get validAt(): number {
    return this.#validAt;
  }

  get expiresAt(): number {
    return this.#validAt + EPOCH_IDLE_MS;
  }

  /** Since when the node owes a receipt or an answer; Infinity if it does not. */
  get waitingSince(): number {
    return this.#inFlight[0]?.at ?? Infinity;
  }

  /** Another epoch should take its place. */
  worn(now: number, rekeyRecords: number): boolean {
    const records = Math.max(this.#sealer.next, this.#window.newest);
    return records >= rekeyRecords || now >= this.#startedAt + REKEY_MS;
  }

  /** When it will be worn by age. */
  get wornAt(): number {
    return this.#startedAt + REKEY_MS;
  }

  /** Undefined if nothing can be sealed any more. */
  seal(content: Uint8Array): Buffer | undefined {
    if (this.forgotten) return undefined;
    return this.#sealer.seal(content, this.#confirmed ? 'sealed' : 'opening');
  }

  sealPayload(sent: SentPayload, now: number): Buffer | undefined {
    const sequence = this.#sealer.next;
    const record = this.seal(encodeData(sent.payload));
    if (!record) return undefined;
    this.sent.add(sequence, sent, now);
    this.#expectReceipt(sequence, now);
    return record;
  }

  sealProbe(random: (sizeBytes: number) => Uint8Array, now: number): Buffer | undefined {
    const token = Buffer.from(random(TOKEN_BYTES));
    const sequence = this.#sealer.next;
    const record = this.seal(encodeProbe(token, TRIGGERING_PROBE_BYTES));
    if (!record) return undefined;
    for (const oldest of this.#probes.keys()) {
      if (this.#probes.size < PROBES_MAX) break;
      this.#probes.delete(oldest);
    }
    this.#probes.set(sequence, { token, at: now });
    this.#expectReceipt(sequence, now);
    return record;
  }

  /** What is inside a record of the node's; why it is to be dropped otherwise. */
  open(record: UdpRecord, now: number): Buffer | 'old' | 'replayed' | 'authentication' {
    const { bytes, sequence } = record;
    const verdict = this.#window.judge(sequence);
    if (verdict === 'old') return 'old';
    if (verdict === 'seen') return 'replayed';
    if (sequence === Infinity) return 'authentication';
    const content = this.#ciphers.nodeToClient.open(bytes, HEADER_BYTES, sequence);
    if (!content) return 'authentication';
    this.#window.accept(sequence);
    this.#validAt = now;
    this.#confirmed = true;
    return content;
  }

  /** True if it says something new: the node is there, and hears. */
  acknowledge(receipt: Receipt, now: number): boolean {
    this.sent.acknowledge(receipt);
    return this.#reached(receipt.highest, now);
  }

  /** True for the answer to a PROBE of this epoch. */
  answered(token: Buffer, now: number): boolean {
    for (const [sequence, probe] of this.#probes) {
      if (!probe.token.equals(token)) continue;
      this.#probes.delete(sequence);
      this.#reached(sequence, now);
      return true;
    }
    return false;
  }

  /** When that record was sent, if a TAKE may still answer it. */
  triggerSentAt(sequence: number): number | undefined {
    return this.sent.triggerSentAt(sequence) ?? this.#probes.get(sequence)?.at;
  }

  /** A TAKE has answered it. */
  useTrigger(sequence: number): void {
    this.#probes.delete(sequence);
    this.sent.taken(sequence);
  }

  #expectReceipt(sequence: number, now: number): void {
    if (this.#inFlight.length < IN_FLIGHT_MAX) this.#inFlight.push({ sequence, at: now });
  }

  #reached(highest: number, now: number): boolean {
    let reached = 0;
    for (const { sequence, at } of this.#inFlight) {
      if (sequence > highest) break;
      if (sequence === highest) this.roundTrips.measured(now - at);
      reached += 1;
    }
    if (reached === 0) return false;
    this.#inFlight = this.#inFlight.slice(reached);
    return true;
  }
}
