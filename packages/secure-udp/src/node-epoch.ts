import { type Endpoint, ReplayWindow, type ReplayVerdict } from '@argyle/host';
import { EPOCH_IDLE_MS } from './constants.ts';
import {
  BITMAP_BYTES_MAX,
  encodeAnswer,
  encodeData,
  encodeEnd,
  encodeProbe,
  encodeReceipt,
  type EndReason,
  RECEIPT_BYTES_MIN,
  TOKEN_BYTES,
} from './content.ts';
import type { EpochCiphers } from './key-schedule.ts';
import type { NodeCounters } from './node-counters.ts';
import type { Outbox } from './outbox.ts';
import { Path } from './path.ts';
import { Receipts } from './receipts.ts';
import { HEADER_BYTES, RecordType, type UdpRecord } from './record.ts';
import { RecordSealer } from './record-sealer.ts';
import type { SuiteName } from './suite.ts';
import { OPENING_BYTES, openingRandom } from './take.ts';
import type { Offer } from './takes.ts';

/** A LEAVE is repeated after this long, then after twice as long, and so on up to the greatest… */
const LEAVE_FIRST_MS = 20;
const LEAVE_MOST_MS = 640;
/** …so often, about 4 s in all: a client that has not answered by then is not there. */
const LEAVES_MAX = 12;

/** What the epochs of a node share. */
export interface NodeShared {
  readonly random: (sizeBytes: number) => Uint8Array;
  readonly outbox: Outbox<Endpoint>;
  readonly counters: NodeCounters;
  readonly datagramBytes: number;
}

/** One epoch at a node: it lives in memory only, and a window, a counter and a path live in it. */
export class NodeEpoch {
  readonly id: string;
  readonly window = new ReplayWindow();
  readonly path: Path;
  readonly receipts = new Receipts(this.window);
  readonly #shared: NodeShared;
  readonly #ciphers: EpochCiphers;
  readonly #clientRandom: Buffer;
  readonly #sealer: RecordSealer;
  #validAt: number;
  #sentAt: number;
  #leave: { readonly content: Buffer; count: number; at: number } | undefined;

  constructor(
    shared: NodeShared,
    opening: {
      readonly offer: Offer;
      readonly suite: SuiteName;
      readonly ciphers: EpochCiphers;
      readonly clientRandom: Uint8Array;
      readonly from: Endpoint;
    },
    now: number,
  ) {
    const { offer, suite, ciphers, clientRandom, from } = opening;
    this.#shared = shared;
    this.id = offer.epoch;
    this.#ciphers = ciphers;
    this.#clientRandom = Buffer.from(clientRandom);
    this.path = new Path({ from, takeWentTo: offer.to });
    this.#sealer = new RecordSealer({
      suite,
      cipher: ciphers.nodeToClient,
      association: offer.association,
      epoch: offer.epoch,
      clientRandom,
    });
    this.#validAt = now;
    this.#sentAt = now;
  }

  /** When a valid record last came. */
  get validAt(): number {
    return this.#validAt;
  }

  get sentAt(): number {
    return this.#sentAt;
  }

  get expiresAt(): number {
    return this.#validAt + EPOCH_IDLE_MS;
  }

  /** The node has left: what it relayed by then is final, and nothing of the epoch is any more. */
  get left(): boolean {
    return this.#leave !== undefined;
  }

  /** It has left, and the client knows, or is not there. */
  get over(): boolean {
    return this.#leave !== undefined && this.#leave.at === Infinity;
  }

  get deadline(): number {
    const receiptAt = this.left ? Infinity : this.receipts.dueAt;
    return Math.min(this.expiresAt, receiptAt, this.#leave?.at ?? Infinity);
  }

  /** What is inside a record, and whether it came before; why it is to be dropped otherwise. */
  open(
    record: UdpRecord,
    replays: 'open' | 'refuse',
  ):
    | { readonly content: Buffer; readonly verdict: ReplayVerdict }
    | 'old'
    | 'replayed'
    | 'opening'
    | 'authentication' {
    const opening = record.type === RecordType.takeOver;
    if (opening && openingRandom(record)?.equals(this.#clientRandom) !== true) return 'opening';
    const verdict = this.window.judge(record.sequence);
    if (verdict === 'old') return 'old';
    if (verdict === 'seen' && replays === 'refuse') return 'replayed';
    const headerBytes = opening ? OPENING_BYTES : HEADER_BYTES;
    const { bytes, sequence } = record;
    const content =
      sequence === Infinity
        ? undefined
        : this.#ciphers.clientToNode.open(bytes, headerBytes, sequence);
    return content ? { content, verdict } : 'authentication';
  }

  /** It opened, for the first time. */
  accept({ sequence, bytes }: UdpRecord, from: Endpoint, now: number): void {
    const newest = sequence > this.window.newest;
    this.window.accept(sequence);
    this.#validAt = now;
    this.path.heard(from, bytes.length, newest);
  }

  answer(token: Uint8Array, to: Endpoint, now: number): void {
    this.#send(encodeAnswer(token), to, now);
  }

  sendPayload(payload: Uint8Array, now: number): boolean {
    const { to } = this.path;
    return this.#send(encodeData(payload), to, now);
  }

  /** Says what came, whether or not it is owed. */
  sendReceipt(now: number): void {
    const { to } = this.path;
    const receipt = to && !this.left ? this.receipts.take(now) : undefined;
    if (receipt) this.#send(encodeReceipt('received', receipt), to, now);
  }

  sendEnd(reason: EndReason, now: number): void {
    if (this.path.proven) this.#send(encodeEnd(reason), this.path.to, now);
  }

  /** Asks an address that is not proven, if that is due and its credit suffices. */
  sendProbe(now: number): void {
    const to = this.path.probeDue(now);
    if (!to) return;
    const sizeBytes = this.#sealer.sizeBytes(encodeProbe(new Uint8Array(TOKEN_BYTES)).length);
    if (!this.path.spend(to, sizeBytes)) return;
    const token = this.path.probed(() => this.#shared.random(TOKEN_BYTES), now);
    if (token) this.#seal(encodeProbe(token), to, now);
  }

  /** The last word on what was relayed; it is repeated until the client has gone. */
  leave(now: number): void {
    this.#leave ??= {
      content: encodeReceipt('leave', this.receipts.whole(this.#bitmapBytesMax)),
      count: 0,
      at: now,
    };
    this.sendLeave(now);
  }

  sendLeave(now: number): void {
    const leave = this.#leave;
    if (!leave || leave.at > now) return;
    this.#send(leave.content, this.path.to, now);
    leave.at = now + Math.min(LEAVE_MOST_MS, LEAVE_FIRST_MS * 2 ** leave.count);
    leave.count += 1;
    if (leave.count > LEAVES_MAX) leave.at = Infinity;
  }

  /** The client sends elsewhere. */
  clientGone(): void {
    if (this.#leave) this.#leave.at = Infinity;
  }

  /** Of a receipt that fits into a datagram. */
  get #bitmapBytesMax(): number {
    let bytes = BITMAP_BYTES_MAX;
    const { datagramBytes } = this.#shared;
    while (this.#sealer.sizeBytes(RECEIPT_BYTES_MIN + bytes) > datagramBytes) bytes -= 1;
    return bytes;
  }

  #send(content: Buffer, to: Endpoint | undefined, now: number): boolean {
    const sizeBytes = this.#sealer.sizeBytes(content.length);
    if (sizeBytes > this.#shared.datagramBytes) {
      this.#shared.counters.notSent('size');
      return false;
    }
    if (!to || !this.path.spend(to, sizeBytes)) {
      this.#shared.counters.notSent('address');
      return false;
    }
    return this.#seal(content, to, now);
  }

  #seal(content: Buffer, to: Endpoint, now: number): boolean {
    const record = this.#sealer.seal(content);
    if (!record) {
      this.#shared.counters.notSent('exhausted');
      return false;
    }
    this.#shared.counters.sealed += 1;
    this.#shared.outbox.push(record, to);
    this.#sentAt = now;
    return true;
  }
}
