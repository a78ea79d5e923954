import assert from 'node:assert/strict';
import type { Endpoint } from '@argyle/host';
import type { AssociationRecord } from './association-record.ts';
import { STOOD_STILL_MS, TICK_MS } from './constants.ts';
import { Deadlines } from './deadlines.ts';
import { NodeAssociation, type NodeEvent } from './node-association.ts';
import { NodeCounters, type NodeDropReason } from './node-counters.ts';
import type { NodeShared } from './node-epoch.ts';
import { Outbox, type Outgoing } from './outbox.ts';
import { sameEndpoint } from './path.ts';
import { NO_EPOCH, readRecord, RecordType, type UdpRecord } from './record.ts';
import { TAKE_BYTES } from './take.ts';
import { Takes } from './takes.ts';

export interface NodeAssociationsOptions {
  /** What the node is called in records: who owns an association. */
  readonly name: string;
  /** The node's own cache, by id in hexadecimal: at once, and nothing for what was deleted. */
  readonly lookup: (association: string) => AssociationRecord | undefined;
  /** A kernel's random source. */
  readonly random: (sizeBytes: number) => Uint8Array;
  /** The largest datagram that is sent. Above the path's, IP fragments; below, more is refused. */
  readonly datagramBytes: number;
}

/** Of all associations together. */
const EPOCHS_IN_ALL_MAX = 65_536;

/**
 * All associations of one node (PROTOCOL.md): datagrams of clients, payloads of targets, records
 * that changed and time go in; datagrams, events and one deadline come out. After any input the
 * driver drains `pollOutput` and `pollEvent`, and arms one timer for `deadline`.
 */
export class NodeAssociations {
  readonly counters = new NodeCounters();
  readonly #options: NodeAssociationsOptions;
  readonly #shared: NodeShared;
  readonly #outbox: Outbox<Endpoint>;
  readonly #takes: Takes;
  readonly #associations = new Map<string, NodeAssociation>();
  readonly #deadlines = new Deadlines<NodeAssociation>();
  readonly #events: NodeEvent[] = [];
  #lastAt = -Infinity;
  #draining: 'no' | 'leaving' | 'drained' = 'no';
  /** Those whose client has not gone yet. */
  readonly #leaving = new Set<NodeAssociation>();

  constructor(options: NodeAssociationsOptions) {
    this.#options = options;
    const { random, datagramBytes } = options;
    this.#outbox = new Outbox(datagramBytes, sameEndpoint);
    this.#shared = { random, datagramBytes, outbox: this.#outbox, counters: this.counters };
    this.#takes = new Takes(random);
  }

  /** Associations with an epoch here. */
  get size(): number {
    return this.#associations.size;
  }

  /** Offers that nobody has taken up yet. */
  get offers(): number {
    return this.#takes.size;
  }

  get deadline(): number {
    const tick = this.#holds ? this.#lastAt + TICK_MS : Infinity;
    return Math.min(this.#deadlines.next, this.#takes.deadline, tick);
  }

  /** A datagram that the record detector says is secure. */
  handleDatagram(bytes: Uint8Array, from: Endpoint, now: number): void {
    this.#awake(now);
    const datagram = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let last: NodeAssociation | undefined;
    let at = 0;
    do {
      const record = readRecord(datagram, at);
      if (typeof record === 'string') {
        this.counters.drop(record);
        break;
      }
      at += record.bytes.length;
      const association = this.#handleRecord(record, from, now);
      if (last !== association) this.#settle(last, now);
      last = association;
    } while (at < datagram.length);
    this.#settle(last, now);
  }

  /** An association's record is known, or has changed: also by this node's own writing. */
  handleChanged(association: string, record: AssociationRecord, now: number): void {
    this.#awake(now);
    const held = this.#associations.get(association);
    held?.handleChanged(record, now);
    this.#settle(held, now);
  }

  /** It was deleted, or has expired: nothing of it opens here from now on. */
  handleDeleted(association: string, now: number): void {
    this.#awake(now);
    this.#takes.forget(association);
    const held = this.#associations.get(association);
    held?.end('deleted', now);
    this.#settle(held, now);
  }

  /** A payload of the target's, to be copied. False if it was not sent, which is counted. */
  handlePayload(association: string, payload: Uint8Array, now: number): boolean {
    this.#awake(now);
    const held = this.#associations.get(association);
    if (!held) this.counters.notSent('epoch');
    const sent = held?.sendPayload(payload, now) ?? false;
    this.#settle(held, now);
    return sent;
  }

  /**
   * Relays nothing more, and takes nothing over. Clients are told until they have gone; payloads
   * for them are still sent. `drained` follows.
   */
  drain(now: number): void {
    this.#awake(now);
    if (this.#draining !== 'no') return;
    this.#draining = 'leaving';
    this.#takes.clear();
    for (const association of this.#associations.values()) {
      association.leave(now);
      this.#deadlines.arm(association);
      if (!association.drained) this.#leaving.add(association);
    }
    this.#tellDrained();
  }

  /**
   * Forgets every epoch: to be called when this process may be a copy of another, or has stood
   * still, before anything is sent. Clients come back by themselves.
   */
  forget(): void {
    for (const association of this.#associations.values()) {
      association.forget();
      association.letGo();
    }
    this.#associations.clear();
    this.#deadlines.clear();
    this.#takes.clear();
    this.#outbox.clear();
    this.#leaving.clear();
    this.#tellDrained();
  }

  handleDeadline(now: number): void {
    this.#awake(now);
    for (;;) {
      const association = this.#deadlines.take(now);
      if (!association) return;
      association.handleDeadline(now);
      assert(association.deadline > now, 'what was due is done');
      this.#keep(association);
    }
  }

  pollOutput(): Outgoing<Endpoint> | undefined {
    return this.#outbox.poll();
  }

  pollEvent(): NodeEvent | undefined {
    return this.#events.shift();
  }

  get #holds(): boolean {
    return this.#associations.size + this.#takes.size > 0;
  }

  /** The association that may now owe something. */
  #handleRecord(record: UdpRecord, from: Endpoint, now: number): NodeAssociation | undefined {
    const held = this.#associations.get(record.association);
    if (held?.has(record.epoch)) {
      this.#count(held.handleRecord(record, from, now));
      return held;
    }
    return record.type === RecordType.takeOver && record.epoch !== NO_EPOCH
      ? this.#handleOpening(record, held, from, now)
      : this.#handleTrigger(record, held, from, now);
  }

  #handleOpening(
    record: UdpRecord,
    held: NodeAssociation | undefined,
    from: Endpoint,
    now: number,
  ): NodeAssociation | undefined {
    const offer = this.#takes.find(record.association, record.epoch);
    if (!offer) return this.#handleTrigger(record, held, from, now);
    if (this.#crowded) return void this.counters.drop('crowded');
    const known = this.#options.lookup(record.association);
    if (!known) {
      this.counters.drop('association');
      return undefined;
    }
    const association =
      held ??
      new NodeAssociation(this.#shared, {
        id: record.association,
        keys: offer.keys,
        record: known,
        name: this.#options.name,
        emit: (event) => this.#events.push(event),
      });
    const { opened, dropped } = association.handleOpening(record, offer, from, now);
    this.#count(dropped);
    if (!opened) {
      this.#takes.forged(offer, now);
      return held;
    }
    this.#takes.consume(offer, now);
    this.#associations.set(association.id, association);
    return association;
  }

  /** Its epoch is not here: it is not opened, and may be answered. */
  #handleTrigger(
    trigger: UdpRecord,
    held: NodeAssociation | undefined,
    from: Endpoint,
    now: number,
  ): undefined {
    const refusal = this.#refusal(trigger);
    if (refusal) return void this.counters.drop(refusal);
    const asked = {
      record: () => this.#options.lookup(trigger.association),
      keys: held?.keys,
    };
    const take = this.#takes.answer(trigger, from, asked, now);
    if (typeof take === 'string') return void this.counters.drop(take);
    this.counters.takes += 1;
    this.#outbox.push(take, from);
    return undefined;
  }

  /** A TAKE is answered by nobody: a forged sender cannot make two nodes answer each other. */
  #refusal({ bytes, epoch, sequence }: UdpRecord): NodeDropReason | undefined {
    const leastBytes = epoch === NO_EPOCH ? TAKE_BYTES : TAKE_BYTES + 1;
    if (bytes.length < leastBytes || sequence === Infinity) return 'trigger';
    if (this.#draining !== 'no') return 'draining';
    return this.#crowded ? 'crowded' : undefined;
  }

  get #crowded(): boolean {
    return this.counters.epochs >= EPOCHS_IN_ALL_MAX;
  }

  #count(reason: NodeDropReason | undefined): void {
    if (reason) this.counters.drop(reason);
  }

  #settle(association: NodeAssociation | undefined, now: number): void {
    if (!association) return;
    association.settle(now);
    this.#keep(association);
  }

  #keep(association: NodeAssociation): void {
    if (association.epochs > 0) this.#deadlines.arm(association);
    else {
      association.letGo();
      this.#deadlines.disarm(association);
      this.#associations.delete(association.id);
    }
    if (this.#draining === 'leaving' && association.drained) this.#leaving.delete(association);
    this.#tellDrained();
  }

  #tellDrained(): void {
    if (this.#draining !== 'leaving' || this.#leaving.size > 0) return;
    this.#draining = 'drained';
    this.#events.push({ kind: 'drained' });
  }

  /** Every input passes here. */
  #awake(now: number): void {
    const stoodMs = now - this.#lastAt;
    this.#lastAt = now;
    if (stoodMs > STOOD_STILL_MS && this.#holds) {
      this.counters.stoodStill += 1;
      this.forget();
    }
    this.#takes.expire(now);
  }
}
