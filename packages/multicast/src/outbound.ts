import { DATA_HEADER_BYTES, ECHO_BYTES, encodeData } from './data.ts';
import { FlowControl } from './flow-control.ts';
import type { Gap } from './gaps.ts';
import type { AppliedWindow } from './gates/applied-window.ts';
import { type GateName, OPEN } from './gates/gate.ts';
import { OVERHEAD_BYTES } from './segment.ts';
import { type SentSegment, SentSegments } from './sent-segments.ts';
import { Wanted } from './wanted.ts';
import { type WriteEnd, WriteQueue } from './write-queue.ts';

/** Segments repaired for one receiver on one time-out. */
const REPAIRS_PER_TIMEOUT = 16;
/** Receivers acknowledge so many together by themselves: they need not be urged more often. */
const URGE_EVERY = 8;

export interface Transmission {
  readonly body: Uint8Array;
  /** Who wants it again; undefined: all, for the first time. */
  readonly to: readonly string[] | undefined;
}

/** A member that must acknowledge. joinedAt <= applied <= received <= last sent. */
interface Receiver {
  received: number;
  applied: number;
  progressAt: number;
  /** Segments that were sent again for it. */
  repairs: number;
}

/** What may be read of it. */
export type OutboundState = Pick<
  Outbound,
  'sequence' | 'acknowledged' | 'oldest' | 'receiver' | 'repairs' | 'window' | 'flow' | 'queueBytes'
>;

/** This member's stream: segments from messages, kept until all who must acknowledge did. */
export class Outbound {
  readonly flow: FlowControl;
  repairs = 0;
  readonly #capacity: number;
  readonly #timeoutMs: number;
  #sequence = 0;
  /** The last sequence that every receiver has applied; Infinity when there is none. */
  #applied = Infinity;
  #urgedAt = 0;
  readonly #queue = new WriteQueue();
  readonly #sent = new SentSegments();
  readonly #receivers = new Map<string, Receiver>();
  readonly #listeners = new Set<string>();
  readonly #wanted = new Wanted();

  constructor(options: {
    segmentBytes: number;
    writeTimeoutMs: number;
    gates?: readonly GateName[] | undefined;
  }) {
    this.flow = new FlowControl(options.gates);
    this.#capacity = options.segmentBytes - OVERHEAD_BYTES - DATA_HEADER_BYTES;
    this.#timeoutMs = options.writeTimeoutMs;
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** Whoever misses what came before it gets it no more. */
  get oldest(): number {
    return this.#sent.oldest ?? this.#sequence + 1;
  }

  /** The last sequence that every receiver has applied. */
  get acknowledged(): number {
    return Math.min(this.#sequence, this.#applied);
  }

  get window(): Pick<AppliedWindow, 'size'> {
    return this.flow.window;
  }

  get queueBytes(): number {
    return this.#queue.bytes;
  }

  get deadline(): number {
    const timeoutAt = this.#queue.expiresAt(this.#timeoutMs);
    const repairAt = Math.min(this.#wanted.dueAt, this.#retransmitAt());
    return Math.min(timeoutAt, Math.max(repairAt, this.flow.repairOpensAt()), this.#opensAt());
  }

  receiver(incarnation: string): Readonly<Receiver> | undefined {
    return this.#receivers.get(incarnation);
  }

  /** From now on the member must acknowledge; it follows the stream after the answer. */
  admit(incarnation: string, now: number): number {
    const joinedAt = this.#sequence;
    const positions = { received: joinedAt, applied: joinedAt };
    this.#receivers.set(incarnation, { ...positions, progressAt: now, repairs: 0 });
    this.#findSlowest();
    return joinedAt;
  }

  /** Nobody waits for that member, but it may ask for what it misses after the answer. */
  admitListener(incarnation: string): number {
    this.#listeners.add(incarnation);
    return this.#sequence;
  }

  /** Nobody waits for that member any more. */
  exclude(incarnation: string, now: number): void {
    this.#receivers.delete(incarnation);
    this.#listeners.delete(incarnation);
    this.#wanted.forget(incarnation);
    this.flow.gone(incarnation);
    this.#findSlowest();
    this.#settle(now);
  }

  /** A ticket, ended later by `pollEnded`; undefined when the queue or the message is too large. */
  enqueue(bytes: Uint8Array, now: number): number | undefined {
    const ticket = this.#queue.add(bytes, now);
    if (ticket !== undefined) this.#settle(now);
    return ticket;
  }

  /** False for positions that were never sent, which change nothing. */
  acknowledge(
    incarnation: string,
    ack: { received: number; applied: number; newest?: number; gaps: readonly Gap[] },
    now: number,
  ): boolean {
    const receiver = this.#receivers.get(incarnation);
    const { newest = ack.received } = ack;
    if (!receiver || ack.received > this.#sequence || ack.applied > ack.received) return false;
    if (newest > this.#sequence) return false;
    this.flow.echo.answered(incarnation, newest);
    if (ack.applied > receiver.applied) {
      receiver.progressAt = now;
      const stored = this.#sent.get(ack.applied);
      if (stored?.transmissions === 1) this.flow.round.measured(now - stored.firstSentAt);
    }
    receiver.received = Math.max(receiver.received, ack.received);
    receiver.applied = Math.max(receiver.applied, ack.applied);
    for (const gap of ack.gaps) {
      const end = Math.min(gap.first + gap.count, this.#sequence + 1);
      for (let at = Math.max(gap.first, receiver.received + 1); at < end; at += 1) {
        const sent = this.#sent.get(at);
        if (sent && !this.#underWay(sent, now)) this.#wanted.add(at, incarnation, now);
      }
    }
    this.#findSlowest();
    this.#settle(now);
    return true;
  }

  /**
   * A listener asks for what it misses; `forAll`: all of them heard it, and who misses the same is
   * silent. False if it is none, or for what was never sent: nothing changes.
   */
  request(incarnation: string, gaps: readonly Gap[], forAll: boolean, now: number): boolean {
    if (!this.#listeners.has(incarnation)) return false;
    if (gaps.some(({ first, count }) => first + count - 1 > this.#sequence)) return false;
    const missing: number[] = [];
    for (const { first, count } of gaps) {
      for (let at = first; at < first + count; at += 1) {
        const sent = this.#sent.get(at);
        const known = !sent || this.#underWay(sent, now) || this.#wanted.has(at, incarnation);
        if (!known) missing.push(at);
      }
    }
    const granted = this.flow.requests.asked(incarnation, missing.length, now);
    for (const sequence of missing.slice(0, granted)) {
      const wanting = forAll ? this.#listeners : [incarnation];
      for (const listener of wanting) this.#wanted.add(sequence, listener, now);
    }
    return true;
  }

  /** Frees what listeners can ask for no more. */
  tidy(now: number): void {
    this.#settle(now);
  }

  handleDeadline(now: number): void {
    this.flow.expire(now);
    for (const [incarnation, receiver] of this.#receivers) {
      for (let step = 1; step <= REPAIRS_PER_TIMEOUT; step += 1) {
        const stored = this.#sent.get(receiver.received + step);
        if (!stored || this.#dueAt(stored) > now) break;
        this.flow.round.timedOut(stored.lastSentAt, now);
        this.#wanted.add(receiver.received + step, incarnation, now);
        this.#wanted.hurry(now);
      }
    }
    this.#queue.expire(this.#timeoutMs, now);
  }

  poll(now: number): Transmission | undefined {
    return this.#pollRepair(now) ?? this.#pollFresh(now);
  }

  pollEnded(): WriteEnd | undefined {
    return this.#queue.pollEnded();
  }

  /** Receivers that have had something to apply for so long, and applied nothing. */
  stalledFor(durationMs: number, now: number): string[] {
    return [...this.#receivers]
      .filter(([, { applied, progressAt }]) => {
        const waiting = this.#sent.get(applied + 1);
        return waiting && now - Math.max(progressAt, waiting.firstSentAt) > durationMs;
      })
      .map(([incarnation]) => incarnation);
  }

  /** This member did not run for a while: what was acknowledged then is still to be read. */
  forgive(stalledMs: number): void {
    for (const receiver of this.#receivers.values()) {
      const waiting = this.#sent.get(receiver.applied + 1);
      if (!waiting) continue;
      receiver.progressAt = Math.max(receiver.progressAt, waiting.firstSentAt) + stalledMs;
    }
  }

  /** For a new incarnation: the stream begins again, and what was under way has failed. */
  restart(): void {
    this.#queue.restart();
    this.#sent.clear();
    this.#receivers.clear();
    this.#listeners.clear();
    this.#wanted.clear();
    this.#sequence = 0;
    this.#applied = Infinity;
    this.#urgedAt = 0;
    this.flow.restart();
  }

  #pollRepair(now: number): Transmission | undefined {
    if (now < this.flow.repairOpensAt()) return undefined;
    for (let wanted = this.#wanted.take(now); wanted; wanted = this.#wanted.take(now)) {
      const { sequence, by } = wanted;
      const sent = this.#sent.get(sequence);
      const receivers = [...by].flatMap((one) => this.#receivers.get(one) ?? []);
      const missing = receivers.filter(({ received }) => received < sequence);
      const to = [...by].filter((one) => (this.#receivers.get(one)?.received ?? 0) < sequence);
      if (!sent || to.length === 0) continue;
      sent.lastSentAt = now;
      sent.transmissions += 1;
      this.repairs += 1;
      for (const receiver of missing) receiver.repairs += 1;
      this.flow.leftAgain(sequence, missing.length > 0, now);
      return { body: sent.body, to };
    }
    return undefined;
  }

  #pollFresh(now: number): Transmission | undefined {
    const inFlight = this.#sequence - this.acknowledged;
    const waiting = !this.#queue.empty;
    this.flow.observe(waiting, inFlight, now);
    if (!waiting || this.flow.opensAt(inFlight) > now) return undefined;
    const echoDue = this.flow.echo.due;
    this.#sequence += 1;
    const roomBytes = echoDue ? this.#capacity - ECHO_BYTES : this.#capacity;
    const items = this.#queue.fill(this.#sequence, roomBytes);
    this.flow.left(this.#sequence, inFlight, now);
    const urgent = this.#urges(inFlight + 1);
    const asked = echoDue ? this.#slowest() : undefined;
    if (asked) this.flow.echo.ask(asked, now);
    const echoOf = urgent ? undefined : asked?.slice(0, 2 * ECHO_BYTES);
    const body = encodeData({ sequence: this.#sequence, urgent, echoOf, items });
    this.#sent.add(this.#sequence, body, now);
    if (this.#receivers.size === 0) this.#settle(now);
    return { body, to: undefined };
  }

  /** The sender waits for the segment that has just left: it ends a burst, or closes a gate. */
  #urges(inFlight: number): boolean {
    const often = Math.min(URGE_EVERY, this.window.size);
    const closed =
      this.#sequence - this.#urgedAt >= often && this.flow.opensAt(inFlight) === Infinity;
    if (!this.#queue.empty && !closed) return false;
    this.#urgedAt = this.#sequence;
    return true;
  }

  /** It was sent again too lately to be asked for once more. */
  #underWay(sent: SentSegment, now: number): boolean {
    return sent.transmissions > 1 && now - sent.lastSentAt < this.flow.round.ms;
  }

  /** The gates matter to what waits; what counts as lost may matter to repairs too. */
  #opensAt(): number {
    if (this.#queue.empty) return Infinity;
    const at = this.flow.opensAt(this.#sequence - this.acknowledged);
    return Math.min(at === OPEN ? Infinity : at, this.flow.expiresAt);
  }

  #findSlowest(): void {
    this.#applied = Infinity;
    for (const { applied } of this.#receivers.values()) {
      this.#applied = Math.min(this.#applied, applied);
    }
  }

  #slowest(): string | undefined {
    for (const [incarnation, { applied }] of this.#receivers) {
      if (applied === this.#applied) return incarnation;
    }
    return undefined;
  }

  #retransmitAt(): number {
    let earliest = Infinity;
    for (const { received } of this.#receivers.values()) {
      const stored = this.#sent.get(received + 1);
      if (stored) earliest = Math.min(earliest, this.#dueAt(stored));
    }
    return earliest;
  }

  #dueAt(stored: SentSegment): number {
    return stored.lastSentAt + this.flow.round.waitMs(stored.transmissions);
  }

  /** Ends writes and frees segments that all receivers have applied. */
  #settle(now: number): void {
    if (this.#receivers.size + this.#listeners.size === 0) this.#queue.skip(this.#sequence);
    const applied = this.acknowledged;
    const newly = this.#sent.settle(applied, this.#listeners.size > 0, now);
    for (let count = 0; count < newly; count += 1) this.flow.window.advanced();
    this.#queue.settle(applied);
  }
}
