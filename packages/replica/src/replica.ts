import type { Cache } from '@argyle/cache';
import type { Channel, Endpoint, LinkInput, Machine, Output } from '@argyle/host';
import {
  type DropReason,
  type ExclusionReason,
  Group,
  type GroupEvent,
  type GroupOptions,
  type Peer,
  type WriteOutcome,
} from '@argyle/multicast';
import type { NewRecord } from './api.ts';
import { Differences } from './differences.ts';
import { Donor } from './donor.ts';
import { Exchange, type ExchangeResult } from './exchange.ts';
import { DONOR_RETRY_MS, nextJoinStep } from './joining.ts';
import {
  decodeGroupMessage,
  decodeLinkMessage,
  encodeGroupMessage,
  encodeLinkMessage,
  type GroupMessage,
  type Need,
  type TransferRecord,
} from './message.ts';
import { decodeNote, encodeNote } from './note.ts';
import type { SelfState } from './status.ts';
import { VersionClock } from './version-clock.ts';

export type ReplicaEvent =
  | { readonly kind: 'ended'; readonly ticket: number; readonly outcome: WriteOutcome }
  /** Another member's write arrived in a watched table. */
  | {
      readonly kind: 'changed';
      readonly table: number;
      readonly key: Uint8Array;
      readonly change: 'put' | 'delete';
    }
  | { readonly kind: 'state'; readonly state: SelfState; readonly reason: string }
  | { readonly kind: 'joined'; readonly peer: Peer }
  | { readonly kind: 'gone'; readonly peer: Peer; readonly reason: ExclusionReason }
  | { readonly kind: 'restarted'; readonly reason: string }
  | { readonly kind: 'refused'; readonly by: Endpoint }
  | { readonly kind: 'dropped'; readonly reason: DropReason | 'message'; readonly from: Endpoint }
  | { readonly kind: 'exchanged'; readonly result: ExchangeResult; readonly name: string };

/** What became of a local write: a ticket to wait for, or why there is none. */
export type WriteStart = { readonly ticket: number } | { readonly refused: 'full' | 'expired' };

/** A tombstone for a record that is not here outlives whatever may still be on its way. */
const UNKNOWN_TOMBSTONE_MS = 24 * 60 * 60 * 1000;
const TICK_MS = 20;
const COMPARE_MS = 50;
/** Records freed before other work gets a turn. */
const EXPIRE_BUDGET = 1_000;

/**
 * The distributed cache (the patent's application 903) as a machine: a cache and the group that
 * keeps all its replicas equal. Writes apply here first and are then relayed; a member that joins
 * exchanges records with a donor before it is ready; digests that differ later are mended alike.
 */
export class Replica implements Machine<ReplicaEvent> {
  readonly cache: Cache;
  readonly group: Group;
  /** Tables whose remote changes are told. */
  readonly watched = new Set<number>();
  exchanges = 0;
  /** Others' records that found no room here. */
  unstored = 0;
  readonly #clock = new VersionClock();
  readonly #donor: Donor;
  readonly #differences: Differences;
  readonly #events: ReplicaEvent[] = [];
  readonly #exchanged = new Set<string>();
  readonly #failedAt = new Map<string, number>();
  #exchange: Exchange | undefined;
  #exchangeId = 0;
  /** Who was in the view when the joining exchange began. */
  #joinView = '';
  #state: SelfState = 'joining';
  #reason = 'starting';
  #joiningSince = 0;
  #offsetMs = 0;
  #tickAt = Infinity;
  #compareAt = 0;

  constructor(cache: (digestKey: Uint8Array) => Cache, options: Omit<GroupOptions, 'note'>) {
    this.group = new Group({
      ...options,
      note: () => encodeNote(this.#state, this.cache.digest()),
    });
    this.cache = cache(this.group.keyring.digestKey);
    this.#clock.adopt(this.group.incarnation);
    this.#differences = new Differences(() => this.group.incarnation);
    this.#donor = new Donor(this.cache, {
      members: () => this.group.members.map(({ incarnation }) => incarnation),
      applied: (incarnation) => this.#peer(incarnation)?.inbound?.applied,
    });
  }

  get state(): SelfState {
    return this.#state;
  }

  /** Why it is not ready, as a sentence; empty when it is. */
  get reason(): string {
    return this.#reason;
  }

  get deadline(): number {
    const expiry = Math.max(0, this.cache.nextExpiry - this.#offsetMs);
    return Math.min(this.group.deadline, this.#tickAt, expiry);
  }

  wall(now: number): number {
    return now + this.#offsetMs;
  }

  open(own: Endpoint, now: number): void {
    this.group.open(own, now);
    this.#clock.adopt(this.group.incarnation);
    this.#joiningSince = now;
    this.#pump(now);
  }

  /** ADD and UPDATE: each record is whole, and the newer one wins everywhere. */
  put(records: readonly NewRecord[], now: number): WriteStart {
    const nowWall = this.wall(now);
    if (records.some(({ expiresAt }) => expiresAt <= nowWall)) return { refused: 'expired' };
    if (!this.cache.fits(records)) return { refused: 'full' };
    const versioned = records.map((record) => ({
      ...record,
      version: this.#clock.stamp(nowWall),
    }));
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

  handleLink(input: LinkInput, now: number): void {
    this.group.handleLink(input, now);
    this.#pump(now);
  }

  handleDeadline(now: number): void {
    this.group.handleDeadline(now);
    this.#exchange?.handleDeadline(now);
    this.cache.expire(this.wall(now), EXPIRE_BUDGET);
    this.#pump(now);
  }

  pollOutput(now: number): Output | undefined {
    for (;;) {
      const reply = this.#donor.poll(now, this.wall(now));
      if (!reply) break;
      this.group.sendLink(reply.peer, encodeLinkMessage(reply.message));
    }
    const exchange = this.#exchange;
    for (;;) {
      const message = exchange?.poll(this.wall(now));
      if (!exchange || !message) break;
      this.group.sendLink(exchange.peer, encodeLinkMessage(message));
    }
    if (exchange?.result) this.#pump(now);
    return this.group.pollOutput(now);
  }

  pollEvent(): ReplicaEvent | undefined {
    return this.#events.shift();
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
    this.#finishExchange(now);
    if (this.#state !== 'ready') this.#join(now);
    else this.#compare(now);
    const joining = this.#state === 'ready' ? this.#compareAt : now + TICK_MS;
    const exchange = this.#exchange?.deadline ?? Infinity;
    this.#tickAt = Math.min(joining, exchange, this.#donor.deadline(now));
  }

  #handleGroup(event: GroupEvent, now: number): void {
    if (event.kind === 'message') this.#handleMessage(event.from, event.message, now);
    else if (event.kind === 'link') this.#handleLinkEvent(event.event, now);
    else if (event.kind === 'gone') {
      this.#forget(event.peer.incarnation);
      this.#events.push(event);
    } else if (event.kind === 'restarted') {
      this.#rejoin(event.reason, now);
      this.#events.push(event);
    } else this.#events.push(event);
  }

  #handleMessage(from: string, bytes: Uint8Array, now: number): void {
    const message = decodeGroupMessage(bytes);
    if (!message) return this.#refuseMessage(from);
    if (message.kind === 'put') this.#takeRemote(message.records, now);
    else if (message.kind === 'remove') this.#takeRemote([message.record], now);
    else this.#raiseEpoch(message.epoch);
  }

  #handleLinkEvent(event: Extract<GroupEvent, { kind: 'link' }>['event'], now: number): void {
    const { kind, peer } = event;
    const exchange = this.#exchange?.peer === peer ? this.#exchange : undefined;
    if (kind === 'down') {
      this.#donor.drop(peer);
      exchange?.fail('the link to it broke');
    } else if (kind === 'drained') {
      this.#donor.drained(peer);
      exchange?.drained(now);
    } else if (kind === 'message') {
      const message = decodeLinkMessage(event.message);
      if (!message) this.#refuseMessage(peer);
      else if (message.kind === 'pull') {
        this.#raiseEpoch(message.epoch);
        this.#donor.handlePull(peer, message, now);
      } else if (message.kind === 'records' && message.id === 0) {
        this.#takeRemote(message.records, now);
      } else exchange?.handleMessage(message, now);
    }
  }

  #refuseMessage(from: string): void {
    const peer = this.#peer(from);
    this.group.counters.drop('malformed');
    if (peer) this.#events.push({ kind: 'dropped', reason: 'message', from: peer.endpoint });
  }

  #join(now: number): void {
    if (this.#exchange) return;
    const step = nextJoinStep({
      own: this.group.incarnation,
      joiningMs: now - this.#joiningSince,
      neighbours: this.group.members.map((peer) => ({
        incarnation: peer.incarnation,
        name: nameOf(peer),
        ready: decodeNote(peer.beat?.note)?.state === 'ready',
        uptimeMs: peer.beat?.uptimeMs ?? 0,
        followed: peer.inbound !== undefined,
        linked: this.group.linked(peer.incarnation),
        failed: now - (this.#failedAt.get(peer.incarnation) ?? -Infinity) < DONOR_RETRY_MS,
        exchanged: this.#exchanged.has(peer.incarnation),
      })),
    });
    if (step.kind === 'ready') this.#enter('ready', '', now);
    else if (step.kind === 'wait') this.#enter('joining', step.reason, now);
    else {
      const needs: Need[] = this.group.members
        .filter(({ incarnation }) => incarnation !== step.incarnation)
        .map(({ incarnation, inbound }) => ({ incarnation, sequence: inbound?.joinedAt ?? 0 }));
      const name = nameOf(this.#peer(step.incarnation));
      this.#joinView = this.#view();
      this.#begin(step.incarnation, needs, now);
      this.#enter('synchronising', `taking records from ${name}`, now);
    }
  }

  /** Looks for members whose digest stays different from ours. */
  #compare(now: number): void {
    if (now < this.#compareAt) return;
    this.#compareAt = now + COMPARE_MS;
    const ours = Buffer.from(this.cache.digest()).toString('hex');
    for (const peer of this.group.members) {
      const note = decodeNote(peer.beat?.note);
      if (note?.state === 'ready') {
        this.#differences.compare(peer.incarnation, ours, note.digest, now);
      }
    }
    const due = this.#exchange ? undefined : this.#differences.due(now);
    if (due === undefined) return;
    this.#differences.forget(due);
    if (this.group.linked(due)) this.#begin(due, undefined, now);
  }

  #begin(peer: string, needs: readonly Need[] | undefined, now: number): void {
    this.#exchangeId += 1;
    this.#exchange = new Exchange({
      id: this.#exchangeId,
      peer,
      cache: this.cache,
      needs,
      merge: (records, at) => this.#takeRemote(records, at),
      purge: (epoch) => this.#raiseEpoch(epoch),
      now,
    });
  }

  #finishExchange(now: number): void {
    const result = this.#exchange?.result;
    if (!result) return;
    this.#exchange = undefined;
    this.exchanges += 1;
    const peer = this.#peer(result.peer);
    this.#events.push({ kind: 'exchanged', result, name: nameOf(peer) });
    if (result.failure !== undefined) {
      this.#failedAt.set(result.peer, now);
      return;
    }
    this.#exchanged.add(result.peer);
    const donorReady = decodeNote(peer?.beat?.note)?.state === 'ready';
    const whole = this.#joinView === this.#view();
    if (this.#state !== 'ready' && donorReady && whole) this.#enter('ready', '', now);
  }

  #enter(state: SelfState, reason: string, now: number): void {
    if (this.#state === state && this.#reason === reason) return;
    const changed = this.#state !== state;
    this.#state = state;
    this.#reason = reason;
    if (changed) this.group.beatSoon(now);
    this.#events.push({ kind: 'state', state, reason });
  }

  #rejoin(reason: string, now: number): void {
    this.#clock.adopt(this.group.incarnation);
    this.#exchange = undefined;
    this.#donor.dropAll();
    this.#differences.forgetAll();
    this.#exchanged.clear();
    this.#failedAt.clear();
    this.#joiningSince = now;
    this.#enter('joining', reason, now);
  }

  #forget(incarnation: string): void {
    this.#donor.drop(incarnation);
    this.#differences.forget(incarnation);
    this.#exchanged.delete(incarnation);
    this.#failedAt.delete(incarnation);
    if (this.#exchange?.peer === incarnation) this.#exchange.fail('it left the view');
  }

  #view(): string {
    const incarnations = this.group.members.map(({ incarnation }) => incarnation);
    return incarnations.sort().join();
  }

  #peer(incarnation: string): Peer | undefined {
    return this.group.members.find((peer) => peer.incarnation === incarnation);
  }
}

function nameOf(peer: Peer | undefined): string {
  return peer?.beat?.name ?? 'a member';
}
