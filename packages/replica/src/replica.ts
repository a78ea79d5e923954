import type { Cache } from '@argyle/cache';
import type { Channel, Endpoint, LinkInput, Machine, Output } from '@argyle/host';
import {
  type DropReason,
  type ExclusionReason,
  Group,
  type GroupEvent,
  type GroupOptions,
  type LinkEvent,
  type Peer,
  type Way,
  type WriteOutcome,
} from '@argyle/multicast';
import type { NewRecord } from './api.ts';
import {
  decodeGroupMessage,
  decodeLinkMessage,
  encodeGroupMessage,
  type GroupMessage,
  type TransferRecord,
} from './message.ts';
import { encodeNote } from './note.ts';
import type { SelfState } from './status.ts';
import { Synchroniser, type SynchroniserEvent } from './synchroniser.ts';
import { VersionClock } from './version-clock.ts';

export type ReplicaEvent =
  | SynchroniserEvent
  | { readonly kind: 'ended'; readonly ticket: number; readonly outcome: WriteOutcome }
  /** Another member's write arrived in a watched table. */
  | {
      readonly kind: 'changed';
      readonly table: number;
      readonly key: Uint8Array;
      readonly change: 'put' | 'delete';
    }
  | { readonly kind: 'joined'; readonly peer: Peer }
  | { readonly kind: 'gone'; readonly peer: Peer; readonly reason: ExclusionReason }
  | { readonly kind: 'restarted'; readonly reason: string }
  | { readonly kind: 'refused'; readonly by: Endpoint }
  /** A part of that one's writes comes no more; the digests tell which, and it is mended. */
  | { readonly kind: 'missed'; readonly peer: Peer }
  | { readonly kind: 'heard'; readonly peer: Peer; readonly by: Way }
  | { readonly kind: 'rejoined' }
  | { readonly kind: 'dropped'; readonly reason: DropReason | 'message'; readonly from: Endpoint };

/** What became of a local write: a ticket to wait for, or why there is none. */
export type WriteStart = { readonly ticket: number } | { readonly refused: 'full' | 'expired' };

/** A tombstone for a record that is not here outlives whatever may still be on its way. */
const UNKNOWN_TOMBSTONE_MS = 24 * 60 * 60 * 1000;
/** Records freed before other work gets a turn. */
const EXPIRE_BUDGET = 1_000;

/**
 * The distributed cache (the patent's application 903) as a machine: a cache and the group that
 * keeps all its replicas equal. Writes apply here first and are then relayed; the synchroniser
 * makes a member that joins whole, and mends what differs later.
 */
export class Replica implements Machine<ReplicaEvent> {
  readonly cache: Cache;
  readonly group: Group;
  /** Tables whose remote changes are told. */
  readonly watched = new Set<number>();
  /** Others' records that found no room here. */
  unstored = 0;
  readonly #clock = new VersionClock();
  readonly #synchroniser: Synchroniser;
  readonly #events: ReplicaEvent[] = [];
  #offsetMs = 0;

  constructor(cache: (digestKey: Uint8Array) => Cache, options: Omit<GroupOptions, 'note'>) {
    this.group = new Group({
      ...options,
      note: () => encodeNote(this.state, this.cache.digest()),
    });
    this.cache = cache(this.group.keyring.digestKey);
    this.#clock.adopt(this.group.incarnation);
    this.#synchroniser = new Synchroniser({
      cache: this.cache,
      group: this.group,
      merge: (records, now) => this.#takeRemote(records, now),
      raiseEpoch: (epoch) => this.#raiseEpoch(epoch),
    });
  }

  get state(): SelfState {
    return this.#synchroniser.state;
  }

  /** Why it is not ready, as a sentence; empty when it is. */
  get reason(): string {
    return this.#synchroniser.reason;
  }

  /** Exchanges of records that this member began. */
  get exchanges(): number {
    return this.#synchroniser.exchanges;
  }

  get deadline(): number {
    const expiry = Math.max(0, this.cache.nextExpiry - this.#offsetMs);
    return Math.min(this.group.deadline, this.#synchroniser.deadline, expiry);
  }

  wall(now: number): number {
    return now + this.#offsetMs;
  }

  open(own: Endpoint, now: number): void {
    this.group.open(own, now);
    this.#clock.adopt(this.group.incarnation);
    this.#synchroniser.begin('looking for other members', now);
    this.#pump(now);
  }

  /** ADD and UPDATE: each record is whole, and the newer one wins everywhere. */
  put(records: readonly NewRecord[], now: number): WriteStart {
    const nowWall = this.wall(now);
    if (records.some(({ expiresAt }) => expiresAt <= nowWall)) return { refused: 'expired' };
    if (!this.cache.fits(records)) return { refused: 'full' };
    const versioned = records.map(({ table, key, value, expiresAt }) => {
      return { table, key, value, expiresAt, version: this.#clock.stamp(nowWall) };
    });
    return this.#write({ kind: 'put', records: versioned }, now);
  }

  remove(table: number, key: Uint8Array, now: number): WriteStart {
    const nowWall = this.wall(now);
    const held = this.cache.get(table, key, nowWall);
    const expiresAt = held?.expiresAt ?? nowWall + UNKNOWN_TOMBSTONE_MS;
    const version = this.#clock.stamp(nowWall);
    const record = { table, key, value: undefined, expiresAt, version };
    return this.#write({ kind: 'remove', record }, now);
  }

  purge(now: number): WriteStart {
    return this.#write({ kind: 'purge', epoch: this.#clock.stamp(this.wall(now)) }, now);
  }

  handleClock(offsetMs: number): void {
    this.#offsetMs = offsetMs;
    this.group.handleClock(offsetMs);
  }

  handleDatagram(bytes: Uint8Array, from: Endpoint, channel: Channel, now: number): void {
    this.group.handleDatagram(bytes, from, channel, now);
    this.#pump(now);
  }

  handleBacklog(waitingBytes: number, now: number): void {
    this.group.handleBacklog(waitingBytes, now);
  }

  handleLink(input: LinkInput, now: number): void {
    this.group.handleLink(input, now);
    this.#pump(now);
  }

  handleDeadline(now: number): void {
    this.group.handleDeadline(now);
    this.cache.expire(this.wall(now), EXPIRE_BUDGET);
    this.#pump(now);
  }

  pollOutput(now: number): Output | undefined {
    this.#synchroniser.speak(now, this.wall(now));
    return this.group.pollOutput(now);
  }

  pollEvent(): ReplicaEvent | undefined {
    return this.#events.shift() ?? this.#synchroniser.pollEvent();
  }

  #write(message: GroupMessage, now: number): WriteStart {
    const ticket = this.group.send(encodeGroupMessage(message), now);
    if (ticket === undefined) return { refused: 'full' };
    this.#apply(message, now);
    this.#pump(now);
    return { ticket };
  }

  #apply(message: GroupMessage, now: number): void {
    if (message.kind === 'put') for (const record of message.records) this.#merge(record, now);
    else if (message.kind === 'remove') this.#merge(message.record, now);
    else this.#raiseEpoch(message.epoch);
  }

  #merge(record: TransferRecord, now: number): void {
    const { table, key, value, expiresAt, version } = record;
    this.#clock.observe(version);
    const nowWall = this.wall(now);
    const outcome = value
      ? this.cache.put(table, key, value, expiresAt, version, nowWall)
      : this.cache.remove(table, key, expiresAt, version, nowWall);
    if (outcome === 'full' || outcome === 'oversize') this.unstored += 1;
  }

  #raiseEpoch(epoch: Uint8Array): void {
    this.#clock.observe(epoch);
    this.cache.purge(epoch);
  }

  #takeRemote(records: readonly TransferRecord[], now: number): void {
    for (const record of records) {
      this.#merge(record, now);
      if (!this.watched.has(record.table)) continue;
      const change = record.value ? 'put' : 'delete';
      const { table, key } = record;
      this.#events.push({ kind: 'changed', table, key: Uint8Array.from(key), change });
    }
  }

  /** After any input: takes what the group has, then sees what is to be done next. */
  #pump(now: number): void {
    for (let event = this.group.pollEvent(); event; event = this.group.pollEvent()) {
      this.#handleGroup(event, now);
    }
    this.#synchroniser.advance(now);
  }

  #handleGroup(event: GroupEvent, now: number): void {
    if (event.kind === 'message') return this.#handleMessage(event.from, event.message, now);
    if (event.kind === 'link') return this.#handleLinkEvent(event.event, now);
    if (event.kind === 'joined') this.#synchroniser.handleJoined();
    else if (event.kind === 'gone') this.#synchroniser.handleGone(event.peer.incarnation);
    else if (event.kind === 'restarted') {
      this.#clock.adopt(this.group.incarnation);
      this.#synchroniser.begin(event.reason, now);
    }
    this.#events.push(event);
  }

  #handleMessage(from: string, bytes: Uint8Array, now: number): void {
    const message = decodeGroupMessage(bytes);
    if (!message) return this.#refuse(from);
    if (message.kind === 'put') this.#takeRemote(message.records, now);
    else if (message.kind === 'remove') this.#takeRemote([message.record], now);
    else this.#raiseEpoch(message.epoch);
  }

  #handleLinkEvent(event: LinkEvent, now: number): void {
    const { kind, peer } = event;
    if (kind === 'down') this.#synchroniser.handleLinkDown(peer, 'the link to it broke');
    else if (kind === 'drained') this.#synchroniser.handleDrained(peer, now);
    else if (kind === 'message') {
      const message = decodeLinkMessage(event.message);
      if (message) this.#synchroniser.handleMessage(peer, message, now);
      else this.#refuse(peer);
    }
  }

  #refuse(from: string): void {
    const { counters, members } = this.group;
    const peer = members.find(({ incarnation }) => incarnation === from);
    if (!peer) counters.count('malformed');
    else if (counters.drop('malformed', peer.endpoint))
      this.#events.push({ kind: 'dropped', reason: 'message', from: peer.endpoint });
  }
}
