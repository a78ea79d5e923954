import type { Endpoint } from '@argyle/host';
import type { AssociationRecord } from './association-record.ts';
import { BEAT_AFTER_PAYLOAD_MS, BEAT_MS, EPOCHS_MAX } from './constants.ts';
import { type Content, decodeContent, type EndReason } from './content.ts';
import type { AssociationKeys } from './key-schedule.ts';
import type { NodeDropReason } from './node-counters.ts';
import { NodeEpoch, type NodeShared } from './node-epoch.ts';
import type { UdpRecord } from './record.ts';
import { Ownership } from './ownership.ts';
import { OPENING_BYTES, openingRandom } from './take.ts';
import type { Offer } from './takes.ts';

const WARNING_SPACING_MS = 1_000;
const REFUSED = { opened: false, dropped: 'authentication' } as const;

/** What a node is to do about an association, or to know. */
export type NodeEvent =
  /** To be relayed to the target. A view of memory that is the driver's from now on. */
  | { readonly kind: 'payload'; readonly association: string; readonly payload: Uint8Array }
  /**
   * To be written into the association's record, without waiting: this node is its owner, and it
   * was claimed once more.
   */
  | { readonly kind: 'claim'; readonly association: string }
  /** Its record is to live another grace time. */
  | { readonly kind: 'renew'; readonly association: string }
  /** Another node owns it, or nobody uses it: what it holds outside may be closed. */
  | { readonly kind: 'let go'; readonly association: string }
  /** A record came a second time, and policy is to say so; once a second. */
  | { readonly kind: 'replay'; readonly association: string; readonly from: Endpoint }
  /** It is over: to be deleted everywhere, and what it holds outside closed. */
  | { readonly kind: 'ended'; readonly association: string; readonly reason: EndReason }
  /** Every client has gone, or is not there. */
  | { readonly kind: 'drained' };

/** One association at a node: its epochs, and what follows from the records that open in them. */
export class NodeAssociation {
  readonly id: string;
  readonly keys: AssociationKeys;
  readonly #shared: NodeShared;
  readonly #emit: (event: NodeEvent) => void;
  readonly #epochs = new Map<string, NodeEpoch>();
  readonly #ownership: Ownership;
  #record: AssociationRecord;
  /** Where the newest payload of the client opened. */
  #active: NodeEpoch | undefined;
  /** When a payload last went through, either way. */
  #payloadAt = -Infinity;
  /** When a beat was last tried: an address that is not proven may get none. */
  #beatAfter = -Infinity;
  #warnedAt = -Infinity;

  constructor(
    shared: NodeShared,
    options: {
      readonly id: string;
      readonly keys: AssociationKeys;
      readonly record: AssociationRecord;
      readonly name: string;
      readonly emit: (event: NodeEvent) => void;
    },
  ) {
    this.#shared = shared;
    this.id = options.id;
    this.keys = options.keys;
    this.#record = options.record;
    this.#emit = options.emit;
    this.#ownership = new Ownership(options.name, options.record);
  }

  get epochs(): number {
    return this.#epochs.size;
  }

  /** Every epoch has been left, and its client has gone. */
  get drained(): boolean {
    for (const epoch of this.#epochs.values()) if (!epoch.over) return false;
    return true;
  }

  get deadline(): number {
    let earliest = Math.min(this.#beatAt, this.#ownership.deadline);
    for (const { deadline } of this.#epochs.values()) earliest = Math.min(earliest, deadline);
    return earliest;
  }

  has(epoch: string): boolean {
    return this.#epochs.has(epoch);
  }

  handleChanged(record: AssociationRecord, now: number): void {
    this.#record = record;
    this.#ownership.handleChanged(record, now);
  }

  /**
   * An opening record for an offer: the first that opens makes the epoch, and uses the offer up.
   */
  handleOpening(
    record: UdpRecord,
    offer: Offer,
    from: Endpoint,
    now: number,
  ): { readonly opened: boolean; readonly dropped: NodeDropReason | undefined } {
    const clientRandom = openingRandom(record);
    if (!clientRandom || record.sequence === Infinity) return REFUSED;
    const epochBytes = Buffer.from(offer.epoch, 'hex');
    const { nodeRandom } = offer;
    const ciphers = this.keys.epochCiphers({ epoch: epochBytes, nodeRandom, clientRandom });
    const content = ciphers.clientToNode.open(record.bytes, OPENING_BYTES, record.sequence);
    if (!content) return REFUSED;
    const { suite } = this.#record;
    const epoch = new NodeEpoch(this.#shared, { offer, suite, ciphers, clientRandom, from }, now);
    this.#makeRoom();
    this.#epochs.set(epoch.id, epoch);
    this.#shared.counters.epochs += 1;
    this.#shared.counters.epochsOpened += 1;
    epoch.accept(record, from, now);
    return { opened: true, dropped: this.#handleContent(content, epoch, from, now) };
  }

  /** A record of an epoch that is here. */
  handleRecord(record: UdpRecord, from: Endpoint, now: number): NodeDropReason | undefined {
    const epoch = this.#epochs.get(record.epoch);
    if (!epoch) return 'trigger';
    const opened = epoch.open(record, this.#record.replay === 'drop' ? 'refuse' : 'open');
    if (typeof opened === 'string') return opened;
    if (opened.verdict === 'seen') {
      this.#handleReplay(from, now);
      return 'replayed';
    }
    epoch.accept(record, from, now);
    return this.#handleContent(opened.content, epoch, from, now);
  }

  /** A payload of the target's, for the client. */
  sendPayload(payload: Uint8Array, now: number): boolean {
    if (!this.#active) {
      this.#shared.counters.notSent('epoch');
      return false;
    }
    if (!this.#active.sendPayload(payload, now)) return false;
    this.#payloadAt = now;
    this.#shared.counters.payloadsOut += 1;
    return true;
  }

  /** Relays nothing more. */
  leave(now: number): void {
    for (const epoch of this.#epochs.values()) epoch.leave(now);
  }

  /** Tells the client, and forgets its epochs. */
  end(reason: EndReason, now: number): void {
    for (const epoch of this.#epochs.values()) epoch.sendEnd(reason, now);
    this.#over(reason);
  }

  /** Nothing more is sealed or opened in any epoch of now. */
  forget(): void {
    for (const epoch of [...this.#epochs.values()]) this.#drop(epoch);
  }

  handleDeadline(now: number): void {
    for (const epoch of this.#epochs.values()) {
      if (epoch.expiresAt <= now) this.#drop(epoch);
      else epoch.sendLeave(now);
    }
    this.settle(now);
    if (now >= this.#beatAt) {
      this.#beatAfter = now;
      this.#active?.sendReceipt(now);
    }
    if (this.#ownership.letsGo(now) || (this.#ownership.serving && this.#epochs.size === 0)) {
      this.letGo();
    }
    this.#tell(now);
  }

  /** The driver was told to close what it holds outside. */
  letGo(): void {
    if (this.#ownership.letGo()) this.#emit({ kind: 'let go', association: this.id });
  }

  /** Sends what is owed, after all records of a datagram. */
  settle(now: number): void {
    for (const epoch of this.#epochs.values()) {
      if (epoch.receipts.dueAt <= now) epoch.sendReceipt(now);
      epoch.sendProbe(now);
    }
  }

  #handleContent(
    content: Buffer,
    epoch: NodeEpoch,
    from: Endpoint,
    now: number,
  ): NodeDropReason | undefined {
    this.#shared.counters.opened += 1;
    const decoded = decodeContent(content);
    if (!decoded) return 'content';
    this.#ownership.heard(now);
    const reason = this.#act(decoded, epoch, from, now);
    this.#tell(now);
    return reason;
  }

  #act(
    content: Content,
    epoch: NodeEpoch,
    from: Endpoint,
    now: number,
  ): NodeDropReason | undefined {
    switch (content.kind) {
      case 'data':
        return this.#handlePayload(content.payload, epoch, now);
      case 'probe':
        epoch.answer(content.token, from, now);
        return undefined;
      case 'answer':
        if (epoch.path.answered(from, content.token)) this.#shared.counters.moves += 1;
        return undefined;
      case 'leave':
        if (epoch.left || epoch === this.#active) epoch.clientGone();
        else this.#drop(epoch);
        return undefined;
      case 'end':
        this.#over(content.reason);
        return undefined;
      case 'received':
        return 'content';
    }
  }

  #handlePayload(payload: Uint8Array, epoch: NodeEpoch, now: number): NodeDropReason | undefined {
    if (epoch.left) return 'left';
    this.#active = epoch;
    this.#payloadAt = now;
    this.#shared.counters.payloadsIn += 1;
    epoch.receipts.owe();
    this.#ownership.servedPayload(now);
    this.#emit({ kind: 'payload', association: this.id, payload });
    return undefined;
  }

  #handleReplay(from: Endpoint, now: number): void {
    if (this.#record.replay === 'end') this.end('replay', now);
    else if (now >= this.#warnedAt + WARNING_SPACING_MS) {
      this.#warnedAt = now;
      this.#emit({ kind: 'replay', association: this.id, from });
    }
  }

  #tell(now: number): void {
    if (this.#ownership.takeClaim(now)) this.#emit({ kind: 'claim', association: this.id });
    if (this.#ownership.takeRenewal(now)) this.#emit({ kind: 'renew', association: this.id });
  }

  get #beatAt(): number {
    const active = this.#active;
    if (!active || active.left || !this.#ownership.serving) return Infinity;
    const beatAt = Math.max(active.sentAt, this.#beatAfter) + BEAT_MS;
    return beatAt <= this.#payloadAt + BEAT_AFTER_PAYLOAD_MS ? beatAt : Infinity;
  }

  #over(reason: EndReason): void {
    this.forget();
    this.#ownership.letGo();
    this.#emit({ kind: 'ended', association: this.id, reason });
  }

  /** The one that was silent longest goes, but not the one in use. */
  #makeRoom(): void {
    if (this.#epochs.size < EPOCHS_MAX) return;
    const others = [...this.#epochs.values()].filter((epoch) => epoch !== this.#active);
    const silent = others.reduce((a, b) => (b.validAt < a.validAt ? b : a));
    this.#drop(silent);
  }

  #drop(epoch: NodeEpoch): void {
    this.#epochs.delete(epoch.id);
    this.#shared.counters.epochs -= 1;
    if (epoch === this.#active) this.#active = undefined;
  }
}
