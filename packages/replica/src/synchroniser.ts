import type { Cache } from '@argyle/cache';
import type { Group, Peer } from '@argyle/multicast';
import { Differences } from './differences.ts';
import { Donor } from './donor.ts';
import { Exchange, type ExchangeResult } from './exchange.ts';
import { DONOR_RETRY_MS, nextJoinStep } from './joining.ts';
import { encodeLinkMessage, type LinkMessage, type Need, type TransferRecord } from './message.ts';
import { decodeNote, stateOfNote } from './note.ts';
import type { SelfState } from './status.ts';

export type SynchroniserEvent =
  | { readonly kind: 'state'; readonly state: SelfState; readonly reason: string }
  | { readonly kind: 'exchanged'; readonly result: ExchangeResult; readonly name: string };

export interface SynchroniserOptions {
  readonly cache: Cache;
  readonly group: Group;
  readonly merge: (records: readonly TransferRecord[], now: number) => void;
  readonly raiseEpoch: (epoch: Uint8Array) => void;
}

const TICK_MS = 20;
const COMPARE_MS = 50;

/**
 * Makes this replica whole, keeps it equal, and helps others to become so (PROTOCOL.md, "Joining"
 * and "Differences"). It holds at most one exchange of its own at a time.
 */
export class Synchroniser {
  exchanges = 0;
  readonly #options: SynchroniserOptions;
  readonly #donor: Donor;
  readonly #differences: Differences;
  readonly #events: SynchroniserEvent[] = [];
  readonly #exchanged = new Set<string>();
  readonly #failedAt = new Map<string, number>();
  #exchange: Exchange | undefined;
  #exchangeId = 0;
  /** Who was in the view when the joining exchange began. */
  #joinView = '';
  #state: SelfState = 'joining';
  #reason = 'starting';
  #joiningSince = 0;
  #compareAt = 0;
  #tickAt = Infinity;

  constructor(options: SynchroniserOptions) {
    this.#options = options;
    const { cache, group } = options;
    this.#differences = new Differences(() => group.incarnation);
    this.#donor = new Donor(cache, {
      members: () => group.members.map(({ incarnation }) => incarnation),
      applied: (incarnation) => this.#peer(incarnation)?.inbound?.whole,
    });
  }

  get state(): SelfState {
    return this.#state;
  }

  get reason(): string {
    return this.#reason;
  }

  get deadline(): number {
    const exchange = this.#exchange?.deadline ?? Infinity;
    return Math.min(this.#tickAt, exchange, this.#donor.flowDeadline);
  }

  pollEvent(): SynchroniserEvent | undefined {
    return this.#events.shift();
  }

  /** As a new incarnation, or for the first time. */
  begin(reason: string, now: number): void {
    this.#exchange = undefined;
    this.#donor.dropAll();
    this.#differences.forgetAll();
    this.#exchanged.clear();
    this.#failedAt.clear();
    this.#joiningSince = now;
    this.#enter('joining', reason, now);
  }

  /**
   * A donor waits until the joiner has named every member: a new one is named by asking anew. Those
   * who were asked before may since have applied what the new one sent before we followed it.
   */
  handleJoined(): void {
    if (this.#state === 'ready') return;
    if (this.#exchange?.received === 0) this.#exchange = undefined;
    this.#exchanged.clear();
  }

  handleGone(incarnation: string): void {
    this.handleLinkDown(incarnation, 'it left the view');
    this.#differences.forget(incarnation);
    this.#exchanged.delete(incarnation);
    this.#failedAt.delete(incarnation);
  }

  handleLinkDown(peer: string, reason: string): void {
    this.#donor.drop(peer);
    if (this.#exchange?.peer === peer) this.#exchange.fail(reason);
  }

  handleDrained(peer: string, now: number): void {
    this.#donor.drained(peer);
    if (this.#exchange?.peer === peer) this.#exchange.drained(now);
  }

  handleMessage(peer: string, message: LinkMessage, now: number): void {
    if (message.kind === 'pull') {
      this.#options.raiseEpoch(message.epoch);
      this.#donor.handlePull(peer, message, now);
    } else if (message.kind === 'records' && message.id === 0) {
      this.#options.merge(message.records, now);
    } else if (this.#exchange?.peer === peer) {
      this.#exchange.handleMessage(message, now);
    }
  }

  /** After every input: ends what has ended, and begins what is to be done next. */
  advance(now: number): void {
    this.#exchange?.handleDeadline(now);
    this.#finish(now);
    if (this.#state !== 'ready') this.#join(now);
    else this.#compare(now);
    const next = this.#state === 'ready' ? this.#compareAt : now + TICK_MS;
    this.#tickAt = Math.min(next, this.#donor.needsDeadline(now));
  }

  /** Hands what is to be said to the group's links, as much as they take. */
  speak(now: number, nowWall: number): void {
    const { group } = this.#options;
    for (;;) {
      const reply = this.#donor.poll(now, nowWall);
      if (!reply) break;
      group.sendLink(reply.peer, encodeLinkMessage(reply.message));
    }
    const exchange = this.#exchange;
    for (;;) {
      const message = exchange?.poll(now, nowWall);
      if (!exchange || !message) break;
      group.sendLink(exchange.peer, encodeLinkMessage(message));
    }
    if (exchange?.result) this.advance(now);
  }

  #join(now: number): void {
    if (this.#exchange) return;
    const { group } = this.#options;
    const step = nextJoinStep({
      own: group.incarnation,
      joiningMs: now - this.#joiningSince,
      neighbours: group.members.map((peer) => ({
        incarnation: peer.incarnation,
        name: nameOf(peer),
        ready: stateOfNote(peer.beat?.note) === 'ready',
        uptimeMs: peer.beat?.uptimeMs ?? 0,
        followed: peer.inbound !== undefined,
        linked: group.linked(peer.incarnation),
        failed: now - (this.#failedAt.get(peer.incarnation) ?? -Infinity) < DONOR_RETRY_MS,
        exchanged: this.#exchanged.has(peer.incarnation),
      })),
    });
    if (step.kind === 'ready') this.#enter('ready', '', now);
    else if (step.kind === 'wait') this.#enter('joining', step.reason, now);
    else {
      const needs: Need[] = group.members
        .filter(({ incarnation }) => incarnation !== step.incarnation)
        .map(({ incarnation, inbound }) => ({ incarnation, sequence: inbound?.joinedAt ?? 0 }));
      this.#joinView = this.#view();
      this.#start(step.incarnation, needs, now);
      const name = nameOf(this.#peer(step.incarnation));
      this.#enter('synchronising', `taking records from ${name}`, now);
    }
  }

  /** Looks for members whose digest stays different from ours. */
  #compare(now: number): void {
    if (now < this.#compareAt) return;
    this.#compareAt = now + COMPARE_MS;
    const { cache, group } = this.#options;
    const ours = Buffer.from(cache.digest()).toString('hex');
    for (const peer of group.members) {
      const note = decodeNote(peer.beat?.note);
      if (note?.state !== 'ready') continue;
      this.#differences.compare(peer.incarnation, ours, note.digest, now);
    }
    const due = this.#exchange ? undefined : this.#differences.due(now);
    if (due === undefined) return;
    this.#differences.exchanging(due);
    if (group.linked(due)) this.#start(due, undefined, now);
  }

  #start(peer: string, needs: readonly Need[] | undefined, now: number): void {
    this.#exchangeId += 1;
    const { cache, merge, raiseEpoch } = this.#options;
    const id = this.#exchangeId;
    this.#exchange = new Exchange({ id, peer, cache, needs, merge, purge: raiseEpoch, now });
  }

  #finish(now: number): void {
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
    const donorReady = stateOfNote(peer?.beat?.note) === 'ready';
    const whole = this.#joinView === this.#view();
    if (this.#state !== 'ready' && donorReady && whole) this.#enter('ready', '', now);
  }

  #enter(state: SelfState, reason: string, now: number): void {
    if (this.#state === state && this.#reason === reason) return;
    const changed = this.#state !== state;
    this.#state = state;
    this.#reason = reason;
    if (changed) this.#options.group.beatSoon(now);
    this.#events.push({ kind: 'state', state, reason });
  }

  #view(): string {
    const incarnations = this.#options.group.members.map(({ incarnation }) => incarnation);
    return incarnations.sort().join();
  }

  #peer(incarnation: string): Peer | undefined {
    return this.#options.group.members.find((peer) => peer.incarnation === incarnation);
  }
}

function nameOf(peer: Peer | undefined): string {
  return peer?.beat?.name ?? 'a member';
}
