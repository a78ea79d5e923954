import type { Channel, Endpoint } from '@argyle/host';
import { encodeAcknowledgement } from './acknowledgement.ts';
import type { DropReason } from './counters.ts';
import { decodeData } from './data.ts';
import type { GroupEvent } from './group-event.ts';
import type { Entry, Heartbeat } from './heartbeat.ts';
import { Inbound } from './inbound.ts';
import type { KeptSegments } from './kept-segments.ts';
import type { OpenedSegment } from './keyring.ts';
import type { Membership } from './membership.ts';
import { Orphans } from './orphans.ts';
import type { Outbound } from './outbound.ts';
import type { Peer } from './peer.ts';
import type { RepairTiming } from './repair-cycle.ts';
import { decodeRequest, encodeRequest, type RepairRequest } from './request.ts';
import { SegmentKind } from './segment.ts';
import type { Transmitter } from './transmitter.ts';

/** What is kept of all others' streams together, and of one however many there are. */
const KEPT_BYTES = 32 * 1024 * 1024;
const KEPT_LEAST_BYTES = 256 * 1024;

export interface StreamsOptions {
  /** Of this member: positively, or, as a listener, by asking for what it misses. */
  readonly acknowledges: boolean;
  readonly random: (sizeBytes: number) => Uint8Array;
  readonly membership: () => Membership;
  readonly outbound: Outbound;
  readonly transmitter: Transmitter;
  readonly drop: (reason: DropReason, from: Endpoint) => void;
  /** Nothing of that incarnation is opened any more. */
  readonly forget: (incarnation: string) => void;
}

/** A segment and how it came. */
export interface Arrival {
  readonly segment: OpenedSegment;
  /** As it was sealed. */
  readonly bytes: Uint8Array;
  readonly from: Endpoint;
  readonly channel: Channel;
}

/** Others' streams as they come here, and what is said of them: to their senders, and to others. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #orphans: Orphans;
  readonly #events: GroupEvent[] = [];

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#orphans = new Orphans(() => this.#timing(this.#members.length));
  }

  get deadline(): number {
    const { acknowledges, outbound } = this.#options;
    let earliest = this.#orphans.deadline;
    let passOnAt = Infinity;
    for (const peer of this.#members) {
      earliest = Math.min(earliest, acknowledges ? peer.deadline : peer.cycle.deadline);
      passOnAt = Math.min(passOnAt, peer.kept.deadline);
    }
    for (const { kept } of this.#orphans.all) passOnAt = Math.min(passOnAt, kept.deadline);
    return Math.min(earliest, Math.max(passOnAt, outbound.flow.repairOpensAt()));
  }

  /** How far this member has the streams of those who are gone. */
  get orphans(): readonly Entry[] {
    return this.#orphans.entries;
  }

  /** A member's heartbeat names us: its stream begins for us after `joinedAt`. */
  follow(peer: Peer, beat: Heartbeat, joinedAt: number, now: number): void {
    const inbound = (peer.inbound ??= new Inbound(joinedAt));
    inbound.extend(beat.highest);
    peer.kept.release(beat.oldest);
    const missed = !this.#options.acknowledges && inbound.skipTo(beat.oldest);
    if (missed) this.#events.push({ kind: 'missed', peer });
    this.#watch(peer, now);
    this.#orphans.handleEntries(peer.incarnation, beat.entries, now);
  }

  /** It has left the view: what is missing of its stream comes from others. */
  orphan(peer: Peer, now: number): void {
    if (!this.#orphans.add(peer, now)) this.#options.forget(peer.incarnation);
  }

  handleData({ segment, bytes, from }: Arrival, peer: Peer, now: number): void {
    const { acknowledges, drop, outbound } = this.#options;
    const data = decodeData(segment.body);
    if (!data) return drop('malformed', from);
    const { inbound } = peer;
    if (!inbound) return drop('not followed', from);
    const { malformed } = inbound;
    const reception = inbound.accept(data);
    outbound.flow.others.heard(peer.incarnation, now);
    if (inbound.malformed > malformed) drop('malformed', from);
    if (reception === 'new') peer.kept.keep(data.sequence, bytes, this.#keptBytes);
    else drop(reception, from);
    if (!acknowledges) return this.#watch(peer, now);
    const echo =
      data.echoOf !== undefined && this.#options.membership().own.startsWith(data.echoOf);
    peer.owe(data.urgent || echo || reception !== 'new', now);
  }

  /** Of one who is in the view no more. True if it was missing. */
  handleOrphan({ segment, bytes }: Arrival, now: number): boolean {
    const { incarnation, kind, body } = segment;
    if (kind !== SegmentKind.data || !this.#orphans.get(incarnation)) return false;
    const data = decodeData(body);
    return (
      data !== undefined &&
      this.#orphans.handleData(incarnation, { data, bytes, most: this.#keptBytes }, now)
    );
  }

  /** Somebody asks for what it misses: us, or another, so that who misses the same need not. */
  handleRequest({ segment, from, channel }: Arrival, peer: Peer, now: number): void {
    const { drop, outbound, membership } = this.#options;
    const request = decodeRequest(segment.body);
    if (!request) return drop('malformed', from);
    const { stream, asked, gaps } = request;
    const { own } = membership();
    const forAll = channel === 'group';
    if (stream === own) {
      if (!outbound.request(peer.incarnation, gaps, forAll, now)) drop('request', from);
    } else if (asked !== own) {
      const cycle = this.#orphans.get(stream)?.cycle ?? membership().peer(stream)?.cycle;
      cycle?.heard(gaps);
    } else if (!this.#want(request, forAll ? this.#members : [peer], now)) drop('request', from);
  }

  /** Hands what is due to the transmitter. */
  speak(now: number): void {
    const { acknowledges, transmitter } = this.#options;
    for (const peer of this.#members) {
      const ack = acknowledges ? peer.takeDue(now) : undefined;
      if (ack) {
        const body = encodeAcknowledgement(ack);
        transmitter.toOne(SegmentKind.acknowledgement, body, peer.endpoint);
      }
      if (!acknowledges && peer.cycle.deadline <= now) this.#askSender(peer, now);
      this.#passOn(peer.kept, now);
    }
    const isMember = (incarnation: string) =>
      this.#options.membership().peer(incarnation)?.state === 'member';
    for (const request of this.#orphans.requests(isMember, now)) this.#ask(request);
    for (const { kept } of this.#orphans.all) this.#passOn(kept, now);
  }

  handleDeadline(now: number): void {
    for (const { peer, complete } of this.#orphans.expire(now)) {
      this.#options.forget(peer.incarnation);
      if (!complete) this.#events.push({ kind: 'missed', peer });
    }
  }

  pollEvent(): GroupEvent | undefined {
    const event = this.#events.shift() ?? this.#orphans.pollMessage();
    if (event) return event;
    for (const peer of this.#members) {
      const message = peer.inbound?.poll();
      if (message) return { kind: 'message', from: peer.incarnation, message };
    }
    return undefined;
  }

  /** For a new incarnation. */
  restart(): void {
    this.#orphans.clear();
  }

  get #members(): readonly Peer[] {
    return this.#options.membership().members;
  }

  get #keptBytes(): number {
    return Math.max(KEPT_LEAST_BYTES, KEPT_BYTES / Math.max(1, this.#members.length));
  }

  #watch(peer: Peer, now: number): void {
    if (this.#options.acknowledges) peer.watchGaps(now);
    else peer.cycle.watch(peer.inbound?.incomplete === true, () => this.#timingOf(peer), now);
  }

  #askSender(peer: Peer, now: number): void {
    const missing = peer.inbound?.gaps() ?? [];
    const gaps = peer.cycle.due(missing, () => this.#timingOf(peer), now);
    const { incarnation } = peer;
    if (gaps.length > 0) this.#ask({ stream: incarnation, asked: incarnation, gaps });
  }

  #ask(request: RepairRequest): void {
    const asked = this.#options.membership().peer(request.asked);
    const body = encodeRequest(request);
    if (asked) this.#options.transmitter.toOneAloud(SegmentKind.request, body, asked);
  }

  /** False if none of it is here. */
  #want({ stream, gaps }: RepairRequest, members: readonly Peer[], now: number): boolean {
    const kept = this.#orphans.get(stream)?.kept ?? this.#options.membership().peer(stream)?.kept;
    let found = false;
    for (const { first, count } of gaps) {
      for (let at = first; kept && at < first + count; at += 1) {
        for (const { incarnation } of members) found = kept.want(at, incarnation, now) || found;
      }
    }
    return found;
  }

  #passOn(kept: KeptSegments, now: number): void {
    const { outbound, transmitter } = this.#options;
    if (kept.deadline > now || outbound.flow.repairOpensAt() > now) return;
    const next = kept.take(now);
    if (!next) return;
    const members = this.#members.filter(({ incarnation }) => next.by.has(incarnation));
    transmitter.passOn(SegmentKind.data, next.bytes, members);
  }

  #timingOf(peer: Peer): RepairTiming {
    const others = this.#members.filter(({ beat }) => beat?.listens);
    return { ...this.#timing(others.length), roundMs: peer.beat?.roundMs ?? 0 };
  }

  /** With so many others who may miss the same. */
  #timing(others: number): RepairTiming {
    const { outbound, random } = this.#options;
    return {
      roundMs: outbound.flow.round.ms,
      askers: others + 1,
      random: () => Buffer.from(random(4)).readUInt32BE() / 2 ** 32,
    };
  }
}
