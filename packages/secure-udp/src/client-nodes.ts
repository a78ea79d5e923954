import type { Candidate } from './candidate.ts';
import { Candidates } from './candidates.ts';
import type { ClientCounters, ClientDropReason } from './client-counters.ts';
import type { ClientEpoch } from './client-epoch.ts';
import type { ClientEvent, MoveReason } from './client-event.ts';
import { type Acceptance, ClientTakeOver, type Purpose } from './client-take-over.ts';
import { encodeReceipt, type Receipt } from './content.ts';
import type { AssociationKeys } from './key-schedule.ts';
import type { UdpRecord } from './record.ts';
import type { SentPayload } from './sent-payloads.ts';
import { Silence } from './silence.ts';
import { beginSeeking, tendStandbys } from './standbys.ts';
import type { SuiteName } from './suite.ts';

export interface ClientNodesOptions {
  readonly id: string;
  readonly suite: SuiteName;
  readonly keys: AssociationKeys;
  readonly random: (sizeBytes: number) => Uint8Array;
  readonly counters: ClientCounters;
  readonly standbys: number;
  readonly rekeyRecords: number;
}

/** What the nodes are for: it sends payloads in the epoch in use. */
export interface NodesUser {
  push(endpoint: string, record: Buffer): void;
  tell(event: ClientEvent): void;
  /**
   * Payloads can be sent from now on, perhaps elsewhere than before: those first that a node has
   * said it did not relay, and those of which nobody knows.
   */
  changed(missing: readonly SentPayload[], unsure: readonly SentPayload[], now: number): void;
}

const UNREACHABLE_MS = 3_000;
const NOTHING_RECEIVED: Receipt = { highest: 0, bitmap: new Uint8Array(0) };
const ALL = { fromSequence: 0, sentBy: Infinity };

/** Which node a client uses, which ones are ready, and when it moves. */
export class ClientNodes {
  readonly #options: ClientNodesOptions;
  readonly #user: NodesUser;
  readonly #candidates = new Candidates();
  readonly #takeOver: ClientTakeOver;
  readonly #silence = new Silence();
  /** Since when no node is known to answer; Infinity while one is. */
  #seekingSince = Infinity;
  /** Why the one before is not used any more, while there is none. */
  #soughtFor: MoveReason | undefined;
  #reach: 'not yet' | 'reached' | 'lost' = 'not yet';

  constructor(options: ClientNodesOptions, user: NodesUser) {
    this.#options = options;
    this.#user = user;
    this.#takeOver = new ClientTakeOver({ ...options, candidates: this.#candidates });
  }

  /** The endpoint in use. */
  get endpoint(): string | undefined {
    return this.#candidates.current?.endpoint;
  }

  /** Where payloads go; undefined while no node answers. */
  get epoch(): ClientEpoch | undefined {
    return this.#candidates.current?.epoch;
  }

  get standbys(): string[] {
    return this.#candidates.others.filter(({ ready }) => ready).map(({ endpoint }) => endpoint);
  }

  /** Whether there is any epoch: what standing still would be a danger to. */
  get holds(): boolean {
    const { current, list, retired } = this.#candidates;
    if (current?.epoch || retired.length > 0) return true;
    return list.some(({ epoch }) => epoch !== undefined);
  }

  find(epoch: string): ClientEpoch | undefined {
    return this.#candidates.epoch(epoch);
  }

  epochs(): Iterable<ClientEpoch> {
    return this.#candidates.epochs();
  }

  set(endpoints: readonly string[], now: number): void {
    const removed = this.#candidates.set(endpoints);
    const { current } = this.#candidates;
    for (const candidate of removed) if (candidate !== current) this.#release(candidate, now);
    if (!current) this.#seek(now);
    else if (removed.includes(current)) this.#fall('removed', now);
  }

  /** Nobody listens there. */
  refused(endpoint: string, now: number): void {
    const candidate = this.#candidates.at(endpoint);
    if (candidate && candidate === this.#candidates.current) this.#fall('refused', now);
    else if (candidate?.epoch) {
      this.#candidates.retire(candidate);
      candidate.rest(now);
    }
  }

  /** Asks the node in use for a sign of life. */
  doubt(now: number): void {
    const { current } = this.#candidates;
    if (current) this.#probe(current, now);
  }

  /** A valid record of the node's came. */
  heard(epoch: ClientEpoch, now: number): void {
    if (this.#silence.heard(epoch, now)) this.#options.counters.hasty += 1;
    if (epoch !== this.epoch || this.#reach === 'reached') return;
    this.#reach = 'reached';
    this.#user.tell({ kind: 'reached', endpoint: epoch.endpoint });
  }

  /** The node hears us. */
  answered(epoch: ClientEpoch, now: number): void {
    const candidate = this.#candidates.holder(epoch);
    if (!candidate) return;
    candidate.answered(now);
    if (candidate === this.#candidates.current) {
      this.#silence.dispel();
      this.#seekingSince = Infinity;
    } else if (this.#seekingSince !== Infinity)
      this.#fall(this.#listed ? 'silent' : 'removed', now);
  }

  /** The node relays nothing more of the epoch, and has said what it did. */
  left(epoch: ClientEpoch, receipt: Receipt, now: number): void {
    epoch.acknowledge(receipt, now);
    const unsure = epoch.sent.takeUnknown(receipt);
    this.#push(epoch, epoch.seal(encodeReceipt('leave', NOTHING_RECEIVED)));
    const missing = epoch.sent.take(ALL);
    epoch.resendAt = Infinity;
    const candidate = this.#candidates.holder(epoch);
    if (candidate) {
      this.#candidates.retire(candidate);
      candidate.rest(now);
    }
    if (candidate && candidate === this.#candidates.current) this.#switch('left', now);
    this.#user.changed(missing, unsure, now);
  }

  /**
   * While no node answers: takes what was sent and has no receipt, oldest first. `since`: when they
   * fell silent, but no longer ago than the driver is told of it.
   */
  takeUnanswered(now: number): { readonly sent: SentPayload[]; readonly since: number } {
    const since = Math.max(this.#seekingSince, now - UNREACHABLE_MS);
    if (since > now) return { sent: [], since };
    const sent = [...this.#candidates.epochs()].flatMap((epoch) => epoch.sent.take(ALL));
    return { sent: sent.sort((a, b) => a.firstAt - b.firstAt), since };
  }

  /** A TAKE. */
  take(record: UdpRecord, from: string, now: number): ClientDropReason | undefined {
    const accepted = this.#takeOver.accept(record, from, now);
    if (typeof accepted === 'string') return accepted;
    const { candidate, epoch, trigger } = accepted;
    const { current } = this.#candidates;
    const seeking = !current || this.#seekingSince !== Infinity;
    if (trigger === 'renew' && candidate === current) {
      this.#candidates.install(candidate, epoch);
      this.#silence.dispel();
      this.#probe(candidate, now);
    } else if (trigger === 'use' ? seeking : trigger === current?.epoch) {
      this.#use(accepted, now);
    } else if (candidate !== current && (typeof trigger !== 'string' || !candidate.ready)) {
      this.#candidates.install(candidate, epoch);
      this.#probe(candidate, now);
    }
    return undefined;
  }

  /** Nothing is sealed in any epoch of now any more; and no TAKE of now is accepted. */
  forget(): void {
    this.#candidates.forget();
    this.#takeOver.clear();
    this.#silence.dispel();
  }

  /** This process stood still: it may not be the only one with its keys. */
  stoodStill(now: number): void {
    this.#options.counters.stoodStill += 1;
    this.#reach = 'not yet';
    this.forget();
    this.#seek(now);
  }

  /** Does all that is due; answers when there is something to do next. */
  tend(payloadAt: number, now: number): number {
    return Math.min(
      this.#tendCurrent(payloadAt, now),
      this.#tendSeeking(now),
      this.#tendOthers(now),
      this.#tendEpochs(now),
    );
  }

  /** Payloads go there from now on; the first record opens the epoch. */
  #use({ candidate, epoch, trigger, triggerSequence }: Acceptance, now: number): void {
    const { current } = this.#candidates;
    const former = current?.epoch;
    const listed = this.#listed;
    const silent = this.#seekingSince !== Infinity && listed;
    this.#candidates.install(candidate, epoch);
    this.#candidates.current = candidate;
    this.#silence.dispel();
    this.#seekingSince = Infinity;
    let unsure: SentPayload[] = [];
    if (former && former !== epoch) {
      // What went where this TAKE came from, and what should have a receipt by now. Of the rest the
      // former node may still say that it came.
      const timeoutMs = former.roundTrips.timeoutMs(0);
      const fromSequence = trigger === former ? triggerSequence : Infinity;
      unsure = former.sent.take(silent ? ALL : { fromSequence, sentBy: now - timeoutMs });
      if (former.sent.size > 0) former.resendAt = now + timeoutMs;
    }
    const reason = former ? 'taken' : this.#soughtFor;
    this.#soughtFor = undefined;
    if (reason && former !== epoch) {
      this.#user.tell({ kind: 'moved', to: candidate.endpoint, reason });
    }
    if (current && current !== candidate) {
      if (listed) current.doubt(now);
      else this.#release(current, now);
    }
    this.#user.changed([], unsure, now);
    if (!epoch.confirmed && epoch.waitingSince === Infinity) this.#probe(candidate, now);
  }

  /** The node in use is not to be used any more, if there is another one. */
  #fall(reason: 'silent' | 'refused' | 'removed', now: number): void {
    const { current } = this.#candidates;
    const epoch = current?.epoch;
    const next = this.#candidates.best(this.#silence.suspectedSince);
    if (!next) {
      // What is sent meanwhile may reach another node by itself, through a balancer.
      if (this.#seekingSince === Infinity) this.#seek(now);
      this.#silence.dispel();
      return;
    }
    const unsure: SentPayload[] = [];
    if (current && epoch && reason === 'removed') {
      epoch.resendAt = now + epoch.roundTrips.timeoutMs(0);
      this.#release(current, now);
    } else if (current && epoch) {
      for (const each of this.#candidates.epochs()) {
        if (each.endpoint === current.endpoint) unsure.push(...each.sent.take(ALL));
      }
      if (reason === 'silent') {
        this.#silence.left(epoch, now);
        current.doubt(now);
      } else {
        this.#candidates.retire(current);
        current.rest(now);
      }
    }
    this.#switch(reason, now);
    this.#user.changed([], unsure, now);
  }

  /** To the best standby; or, if there is none, to whoever answers. */
  #switch(reason: MoveReason, now: number): void {
    const next = this.#candidates.best(this.#silence.suspectedSince);
    this.#silence.dispel();
    this.#candidates.current = next;
    if (next) {
      this.#seekingSince = Infinity;
      this.#user.tell({ kind: 'moved', to: next.endpoint, reason: this.#soughtFor ?? reason });
      this.#soughtFor = undefined;
    } else {
      this.#soughtFor = reason;
      this.#seek(now);
    }
  }

  /** False if the one in use is no candidate any more. */
  get #listed(): boolean {
    const { current, list } = this.#candidates;
    return !current || list.includes(current);
  }

  #seek(now: number): void {
    this.#seekingSince = now;
    beginSeeking(this.#candidates.list, now);
  }

  #hello(candidate: Candidate, purpose: Purpose, now: number): void {
    this.#user.push(candidate.endpoint, this.#takeOver.hello(candidate, purpose, now));
  }

  #probe(candidate: Candidate, now: number): void {
    const { epoch } = candidate;
    if (!epoch) return;
    candidate.probed(now);
    this.#options.counters.probes += 1;
    this.#push(epoch, epoch.sealProbe(this.#options.random, now));
  }

  /** Its node need not keep the epoch. */
  #release(candidate: Candidate, now: number): void {
    const { epoch } = candidate;
    if (!epoch) return;
    this.#push(epoch, epoch.seal(encodeReceipt('leave', NOTHING_RECEIVED)));
    this.#candidates.retire(candidate);
    candidate.rest(now);
  }

  #push({ endpoint }: ClientEpoch, record: Buffer | undefined): void {
    if (record) this.#user.push(endpoint, record);
  }

  /** The node in use: is it there, does its epoch need another, is it to be probed? */
  #tendCurrent(payloadAt: number, now: number): number {
    for (;;) {
      const { current } = this.#candidates;
      if (!current?.epoch || this.#seekingSince !== Infinity) return Infinity;
      const verdict = this.#silence.check(current.epoch, payloadAt, now);
      if (verdict === 'silent') this.#fall('silent', now);
      else if (verdict === 'probe') {
        for (const other of this.#candidates.others) if (other.idle) this.#probe(other, now);
        this.#probe(current, now);
      } else {
        const renewAt = this.#tendRenewal(current, current.epoch, now);
        if (now >= current.probeAt) this.#probe(current, now);
        const silentAt = this.#silence.deadline(current.epoch, payloadAt);
        return Math.min(silentAt, renewAt, current.probeAt);
      }
    }
  }

  #tendRenewal(current: Candidate, epoch: ClientEpoch, now: number): number {
    if (!epoch.worn(now, this.#options.rekeyRecords)) return epoch.wornAt;
    if (now >= current.helloAt) this.#hello(current, 'renew', now);
    return current.helloAt;
  }

  #tendSeeking(now: number): number {
    if (this.#seekingSince === Infinity) return Infinity;
    let next = Infinity;
    for (const candidate of this.#candidates.list) {
      if (now >= candidate.helloAt) this.#hello(candidate, 'use', now);
      next = Math.min(next, candidate.helloAt);
    }
    if (this.#reach === 'lost') return next;
    const lostAt = this.#seekingSince + UNREACHABLE_MS;
    if (now < lostAt) return Math.min(next, lostAt);
    this.#reach = 'lost';
    this.#user.tell({ kind: 'unreachable' });
    return next;
  }

  #tendOthers(now: number): number {
    const { current } = this.#candidates;
    const settled = this.#seekingSince === Infinity && current?.epoch?.confirmed === true;
    if (!settled) return Infinity;
    return tendStandbys(
      this.#candidates.others,
      this.#options.standbys,
      {
        hello: (candidate) => this.#hello(candidate, 'standby', now),
        probe: (candidate) => this.#probe(candidate, now),
        release: (candidate) => this.#release(candidate, now),
      },
      now,
    );
  }

  #tendEpochs(now: number): number {
    let next = this.#candidates.expire(now);
    for (const epoch of this.#candidates.epochs()) {
      if (epoch.resendAt <= now) {
        epoch.resendAt = Infinity;
        this.#user.changed([], epoch.sent.take(ALL), now);
      }
      next = Math.min(next, epoch.resendAt);
    }
    return next;
  }
}
