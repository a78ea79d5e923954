import type { Channel, Endpoint } from '@argyle/host';
import { encodeAcknowledgement } from './acknowledgement.ts';
import type { DropReason } from './counters.ts';
import { decodeData } from './data.ts';
import type { GroupEvent } from './group-event.ts';
import type { Heartbeat } from './heartbeat.ts';
import { Inbound } from './inbound.ts';
import type { OpenedSegment } from './keyring.ts';
import type { Membership } from './membership.ts';
import type { Outbound } from './outbound.ts';
import type { Peer } from './peer.ts';
import type { RepairTiming } from './repair-cycle.ts';
import { decodeRequest, encodeRequest } from './request.ts';
import { SegmentKind } from './segment.ts';
import type { Transmitter } from './transmitter.ts';

export interface StreamsOptions {
  /** Of this member: positively, or, as a listener, by asking for what it misses. */
  readonly acknowledges: boolean;
  readonly random: (sizeBytes: number) => Uint8Array;
  readonly outbound: Outbound;
  readonly transmitter: Transmitter;
  readonly drop: (reason: DropReason, from: Endpoint) => void;
}

/** Others' streams as they come here, and what their senders are told of it. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #membership: () => Membership;

  constructor(options: StreamsOptions, membership: () => Membership) {
    this.#options = options;
    this.#membership = membership;
  }

  get deadline(): number {
    const { acknowledges } = this.#options;
    let earliest = Infinity;
    for (const peer of this.#membership().members) {
      const at = acknowledges ? peer.deadline : peer.cycle.deadline;
      earliest = Math.min(earliest, at);
    }
    return earliest;
  }

  /** A member's heartbeat names us: its stream begins for us after `joinedAt`. */
  follow(peer: Peer, beat: Heartbeat, joinedAt: number, now: number): GroupEvent | undefined {
    const inbound = (peer.inbound ??= new Inbound(joinedAt));
    inbound.extend(beat.highest);
    const missed = !this.#options.acknowledges && inbound.skipTo(beat.oldest);
    this.#watch(peer, now);
    return missed ? { kind: 'missed', peer } : undefined;
  }

  handleData(segment: OpenedSegment, peer: Peer, from: Endpoint, now: number): void {
    const { acknowledges, drop, outbound } = this.#options;
    const data = decodeData(segment.body);
    if (!data) return drop('malformed', from);
    const { inbound } = peer;
    if (!inbound) return drop('not followed', from);
    const { malformed } = inbound;
    const reception = inbound.accept(data);
    outbound.flow.others.heard(peer.incarnation, now);
    if (inbound.malformed > malformed) drop('malformed', from);
    if (reception !== 'new') drop(reception, from);
    if (!acknowledges) return this.#watch(peer, now);
    const echo = data.echoOf !== undefined && this.#membership().own.startsWith(data.echoOf);
    peer.owe(data.urgent || echo || reception !== 'new', now);
  }

  /** A listener asks for what it misses: us, or another, so that who misses the same need not. */
  handleRequest(
    segment: OpenedSegment,
    peer: Peer,
    arrival: { readonly from: Endpoint; readonly channel: Channel },
    now: number,
  ): void {
    const { drop, outbound } = this.#options;
    const request = decodeRequest(segment.body);
    if (!request) return drop('malformed', arrival.from);
    const { stream, gaps } = request;
    if (stream !== this.#membership().own) {
      this.#membership().peer(stream)?.cycle.heard(gaps);
      return;
    }
    const forAll = arrival.channel === 'group';
    if (!outbound.request(peer.incarnation, gaps, forAll, now)) drop('request', arrival.from);
  }

  /** Hands what is due to the transmitter. */
  speak(now: number): void {
    const { acknowledges, transmitter } = this.#options;
    for (const peer of this.#membership().members) {
      const ack = acknowledges ? peer.takeDue(now) : undefined;
      if (ack) {
        const body = encodeAcknowledgement(ack);
        transmitter.toOne(SegmentKind.acknowledgement, body, peer.endpoint);
      }
      if (!acknowledges && peer.cycle.deadline <= now) this.#ask(peer, now);
    }
  }

  pollMessage(): GroupEvent | undefined {
    for (const peer of this.#membership().members) {
      const message = peer.inbound?.poll();
      if (message) return { kind: 'message', from: peer.incarnation, message };
    }
    return undefined;
  }

  #watch(peer: Peer, now: number): void {
    if (this.#options.acknowledges) peer.watchGaps(now);
    else peer.cycle.watch(peer.inbound?.incomplete === true, () => this.#timing(peer), now);
  }

  #ask(peer: Peer, now: number): void {
    const missing = peer.inbound?.gaps() ?? [];
    const gaps = peer.cycle.due(missing, () => this.#timing(peer), now);
    if (gaps.length === 0) return;
    const { incarnation } = peer;
    const body = encodeRequest({ stream: incarnation, asked: incarnation, gaps });
    this.#options.transmitter.toOneAloud(SegmentKind.request, body, peer);
  }

  #timing(peer: Peer): RepairTiming {
    const others = this.#membership().members.filter(({ beat }) => beat?.listens);
    return {
      roundMs: peer.beat?.roundMs ?? 0,
      askers: others.length + 1,
      random: () => Buffer.from(this.#options.random(4)).readUInt32BE() / 2 ** 32,
    };
  }
}
