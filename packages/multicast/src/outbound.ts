import type { Gap } from './acknowledgement.ts';
import { DATA_HEADER_BYTES, ECHO_BYTES, encodeData, ITEM_HEADER_BYTES, type Item } from './data.ts';
import { Fifo } from './fifo.ts';
import { FlowControl } from './flow-control.ts';
import type { AppliedWindow } from './gates/applied-window.ts';
import { type GateName, OPEN } from './gates/gate.ts';
import { MESSAGE_BYTES_MAX } from './inbound.ts';
import { OVERHEAD_BYTES } from './segment.ts';

export type WriteOutcome = 'replicated' | 'timeout' | 'restarted';

/** More than this waiting to be sent, and `enqueue` refuses. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;
/** Requests for the same segment that come so close together are answered by one multicast. */
const REPAIR_GATHER_MS = 2;
/** Segments repaired for one receiver on one time-out. */
const REPAIRS_PER_TIMEOUT = 16;
/** Receivers acknowledge so many together by themselves: they need not be urged more often. */
const URGE_EVERY = 8;

export interface Transmission {
  readonly body: Uint8Array;
  /** Who wants it again; undefined: all, for the first time. */
  readonly to: readonly string[] | undefined;
}

interface Stored {
  readonly body: Uint8Array;
  readonly firstSentAt: number;
  lastSentAt: number;
  transmissions: number;
}

/** A member that must acknowledge. joinedAt <= applied <= received <= last sent. */
interface Receiver {
  received: number;
  applied: number;
  progressAt: number;
  /** Segments that were sent again for it. */
  repairs: number;
}

interface Write {
  readonly ticket: number;
  /** The segment in which its last byte left; Infinity until then. */
  sequence: number;
  readonly enqueuedAt: number;
}

interface Queued {
  readonly write: Write;
  readonly bytes: Uint8Array;
  /** What has left already. */
  offset: number;
}

/** What may be read of it. */
export type OutboundState = Pick<
  Outbound,
  'sequence' | 'acknowledged' | 'receiver' | 'repairs' | 'window' | 'flow' | 'queueBytes'
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
  #ticket = 0;
  #queue = new Fifo<Queued>();
  #queueBytes = 0;
  readonly #ring = new Map<number, Stored>();
  readonly #receivers = new Map<string, Receiver>();
  readonly #writes = new Fifo<Write>();
  readonly #ended = new Fifo<{ ticket: number; outcome: WriteOutcome }>();
  readonly #wanted = new Map<number, Set<string>>();
  #repairAt = Infinity;

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

  /** The last sequence that every receiver has applied. */
  get acknowledged(): number {
    return Math.min(this.#sequence, this.#applied);
  }

  get window(): Pick<AppliedWindow, 'size'> {
    return this.flow.window;
  }

  get queueBytes(): number {
    return this.#queueBytes;
  }

  get deadline(): number {
    const write = this.#writes.first;
    const timeoutAt = write ? write.enqueuedAt + this.#timeoutMs : Infinity;
    const repairAt = Math.min(this.#repairAt, this.#retransmitAt());
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

  /** Nobody waits for that member any more. */
  exclude(incarnation: string): void {
    this.#receivers.delete(incarnation);
    for (const wanting of this.#wanted.values()) wanting.delete(incarnation);
    this.flow.gone(incarnation);
    this.#findSlowest();
    this.#settle();
  }

  /** A ticket, ended later by `pollEnded`; undefined when the queue or the message is too large. */
  enqueue(bytes: Uint8Array, now: number): number | undefined {
    if (bytes.length > MESSAGE_BYTES_MAX || bytes.length === 0) return undefined;
    if (this.#queueBytes + bytes.length > QUEUE_BYTES_MAX) return undefined;
    this.#ticket += 1;
    const write = { ticket: this.#ticket, sequence: Infinity, enqueuedAt: now };
    this.#writes.push(write);
    this.#queue.push({ write, bytes, offset: 0 });
    this.#queueBytes += bytes.length;
    this.#settle();
    return write.ticket;
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
      const stored = this.#ring.get(ack.applied);
      if (stored?.transmissions === 1) this.flow.round.measured(now - stored.firstSentAt);
    }
    receiver.received = Math.max(receiver.received, ack.received);
    receiver.applied = Math.max(receiver.applied, ack.applied);
    for (const gap of ack.gaps) {
      const end = Math.min(gap.first + gap.count, this.#sequence + 1);
      for (let at = Math.max(gap.first, receiver.received + 1); at < end; at += 1) {
        const stored = this.#ring.get(at);
        const underWay =
          stored && stored.transmissions > 1 && now - stored.lastSentAt < this.flow.round.ms;
        if (stored && !underWay) this.#want(at, incarnation, now);
      }
    }
    this.#findSlowest();
    this.#settle();
    return true;
  }

  handleDeadline(now: number): void {
    this.flow.expire(now);
    for (const [incarnation, receiver] of this.#receivers) {
      for (let step = 1; step <= REPAIRS_PER_TIMEOUT; step += 1) {
        const stored = this.#ring.get(receiver.received + step);
        if (!stored || this.#dueAt(stored) > now) break;
        this.flow.round.timedOut(stored.lastSentAt, now);
        this.#want(receiver.received + step, incarnation, now);
        this.#repairAt = now;
      }
    }
    this.#endWhile(({ enqueuedAt }) => enqueuedAt + this.#timeoutMs <= now, 'timeout');
  }

  poll(now: number): Transmission | undefined {
    return this.#pollRepair(now) ?? this.#pollFresh(now);
  }

  pollEnded(): { ticket: number; outcome: WriteOutcome } | undefined {
    return this.#ended.shift();
  }

  /** Receivers that have had something to apply for so long, and applied nothing. */
  stalledFor(durationMs: number, now: number): string[] {
    return [...this.#receivers]
      .filter(([, { applied, progressAt }]) => {
        const waiting = this.#ring.get(applied + 1);
        return waiting && now - Math.max(progressAt, waiting.firstSentAt) > durationMs;
      })
      .map(([incarnation]) => incarnation);
  }

  /** This member did not run for a while: what was acknowledged then is still to be read. */
  forgive(stalledMs: number): void {
    for (const receiver of this.#receivers.values()) {
      const waiting = this.#ring.get(receiver.applied + 1);
      if (!waiting) continue;
      receiver.progressAt = Math.max(receiver.progressAt, waiting.firstSentAt) + stalledMs;
    }
  }

  /** For a new incarnation: the stream begins again, and what was under way has failed. */
  restart(): void {
    this.#endWhile(() => true, 'restarted');
    this.#queue = new Fifo();
    this.#queueBytes = 0;
    this.#ring.clear();
    this.#receivers.clear();
    this.#wanted.clear();
    this.#repairAt = Infinity;
    this.#sequence = 0;
    this.#applied = Infinity;
    this.#urgedAt = 0;
    this.flow.restart();
  }

  #pollRepair(now: number): Transmission | undefined {
    if (now < Math.max(this.#repairAt, this.flow.repairOpensAt())) return undefined;
    for (const [sequence, wanting] of this.#wanted) {
      this.#wanted.delete(sequence);
      const stored = this.#ring.get(sequence);
      if (!stored || wanting.size === 0) continue;
      stored.lastSentAt = now;
      stored.transmissions += 1;
      this.repairs += 1;
      this.flow.leftAgain(sequence, now);
      for (const one of wanting) {
        const receiver = this.#receivers.get(one);
        if (receiver) receiver.repairs += 1;
      }
      return { body: stored.body, to: [...wanting] };
    }
    this.#repairAt = Infinity;
    return undefined;
  }

  #pollFresh(now: number): Transmission | undefined {
    const inFlight = this.#sequence - this.acknowledged;
    const waiting = this.#queue.length > 0;
    this.flow.observe(waiting, inFlight, now);
    if (!waiting || this.flow.opensAt(inFlight) > now) return undefined;
    const echoDue = this.flow.echo.due;
    this.#sequence += 1;
    const items = this.#fill(echoDue ? this.#capacity - ECHO_BYTES : this.#capacity);
    this.flow.left(this.#sequence, inFlight, now);
    const urgent = this.#urges(inFlight + 1);
    const asked = echoDue ? this.#slowest() : undefined;
    if (asked) this.flow.echo.ask(asked, now);
    const echoOf = urgent ? undefined : asked?.slice(0, 2 * ECHO_BYTES);
    const body = encodeData({ sequence: this.#sequence, urgent, echoOf, items });
    this.#ring.set(this.#sequence, {
      body,
      firstSentAt: now,
      lastSentAt: now,
      transmissions: 1,
    });
    return { body, to: undefined };
  }

  /** The sender waits for the segment that has just left: it ends a burst, or closes a gate. */
  #urges(inFlight: number): boolean {
    const often = Math.min(URGE_EVERY, this.window.size);
    const closed =
      this.#sequence - this.#urgedAt >= often && this.flow.opensAt(inFlight) === Infinity;
    if (this.#queue.length > 0 && !closed) return false;
    this.#urgedAt = this.#sequence;
    return true;
  }

  #fill(roomBytes: number): Item[] {
    const items: Item[] = [];
    let room = roomBytes;
    while (room > ITEM_HEADER_BYTES) {
      const head = this.#queue.first;
      if (!head) break;
      const size = Math.min(head.bytes.length - head.offset, room - ITEM_HEADER_BYTES);
      const end = head.offset + size;
      const last = end === head.bytes.length;
      items.push({ first: head.offset === 0, last, bytes: head.bytes.subarray(head.offset, end) });
      room -= ITEM_HEADER_BYTES + size;
      this.#queueBytes -= size;
      head.offset = end;
      if (!last) break;
      head.write.sequence = this.#sequence;
      this.#queue.shift();
    }
    return items;
  }

  #want(sequence: number, incarnation: string, now: number): void {
    const wanting = this.#wanted.get(sequence) ?? new Set();
    this.#wanted.set(sequence, wanting.add(incarnation));
    this.#repairAt = Math.min(this.#repairAt, now + REPAIR_GATHER_MS);
  }

  /** The gates matter to what waits; what counts as lost may matter to repairs too. */
  #opensAt(): number {
    if (this.#queue.length === 0) return Infinity;
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
      const stored = this.#ring.get(received + 1);
      if (stored) earliest = Math.min(earliest, this.#dueAt(stored));
    }
    return earliest;
  }

  #dueAt(stored: Stored): number {
    return stored.lastSentAt + this.flow.round.waitMs(stored.transmissions);
  }

  /** Ends writes and frees segments that all receivers have applied. */
  #settle(): void {
    if (this.#receivers.size === 0 && this.#queue.length > 0) {
      for (let item = this.#queue.shift(); item; item = this.#queue.shift()) {
        item.write.sequence = this.#sequence;
      }
      this.#queueBytes = 0;
    }
    const applied = this.acknowledged;
    for (const [sequence] of this.#ring) {
      if (sequence > applied) break;
      this.#ring.delete(sequence);
      this.#wanted.delete(sequence);
      this.flow.window.advanced();
    }
    this.#endWhile(({ sequence }) => sequence <= applied, 'replicated');
  }

  /** Writes end in the order in which they began. */
  #endWhile(due: (write: Write) => boolean, outcome: WriteOutcome): void {
    for (let write = this.#writes.first; write && due(write); write = this.#writes.first) {
      this.#ended.push({ ticket: write.ticket, outcome });
      this.#writes.shift();
    }
  }
}
