import {
  type Channel,
  type Endpoint,
  type LinkInput,
  type Machine,
  type Output,
} from '@argyle/host';
import { decodeAcknowledgement } from './acknowledgement.ts';
import { Counters, type DropReason } from './counters.ts';
import { sequenceOf } from './data.ts';
import { ExpectedEndpoints } from './expected-endpoints.ts';
import type { GroupEvent } from './group-event.ts';
import { decodeHeartbeat } from './heartbeat.ts';
import { Heartbeats } from './heartbeats.ts';
import { Keyring, type OpenedSegment } from './keyring.ts';
import { Links } from './links.ts';
import type { Way } from './hearing.ts';
import { Listening } from './listening.ts';
import { Membership } from './membership.ts';
import { EXCLUSION_MS, type GroupOptions, STALL_MS, WRITE_TIMEOUT_MS } from './options.ts';
import { Outbound, type OutboundState } from './outbound.ts';
import type { Peer } from './peer.ts';
import { INCARNATION_BYTES, kindName, SegmentKind } from './segment.ts';
import { type Arrival, Streams } from './streams.ts';
import { Transmitter } from './transmitter.ts';

/**
 * A group of members: what one sends, every other applies, in the sender's order, once, or is
 * excluded (PROTOCOL.md). Commands are `open`, `send`, `sendLink`, `greet` and `leave`.
 */
export class Group implements Machine<GroupEvent> {
  readonly keyring: Keyring;
  readonly counters = new Counters();
  readonly #options: GroupOptions;
  readonly #outbound: Outbound;
  readonly #links: Links;
  readonly #streams: Streams;
  #membership: Membership;
  #own: Endpoint | undefined;
  #startedAt = 0;
  #offsetMs = 0;
  #lastAt = 0;
  readonly #heartbeats: Heartbeats;
  readonly #transmitter: Transmitter;
  readonly #expected = new ExpectedEndpoints();
  /** Is, was, or may be a member there? */
  readonly #expects = (from: Endpoint) => this.#expected.has(from) || this.#membership.knows(from);
  readonly #listening = new Listening();
  readonly #events: GroupEvent[] = [];

  constructor(options: GroupOptions) {
    this.#options = options;
    this.keyring = new Keyring(options.clusterKey, this.#expects);
    this.#outbound = new Outbound({
      segmentBytes: options.segmentBytes,
      writeTimeoutMs: WRITE_TIMEOUT_MS,
      gates: options.gates,
    });
    this.#transmitter = new Transmitter(this.keyring, this.counters, options.transport);
    this.#heartbeats = new Heartbeats(options, this.#expected, this.#transmitter);
    this.#links = new Links(() => this.#membership.own);
    this.#streams = new Streams({
      ...{ acknowledges: options.acknowledges ?? true, random: options.random },
      ...{ outbound: this.#outbound, transmitter: this.#transmitter },
      membership: () => this.#membership,
      drop: (reason, from) => this.#drop(reason, from),
      forget: (incarnation) => this.keyring.forget(incarnation),
    });
    this.#membership = this.#drawIncarnation();
    for (const member of options.members) this.greet(member, Infinity);
  }

  get incarnation(): string {
    return this.#membership.own;
  }

  get members(): readonly Peer[] {
    return this.#membership.members;
  }

  get outbound(): OutboundState {
    return this.#outbound;
  }

  get links(): Pick<Links, 'size' | 'refused'> {
    return this.#links;
  }

  get listening(): Pick<Listening, 'rejoins'> {
    return this.#listening;
  }

  get uptimeMs(): number {
    return this.#lastAt - this.#startedAt;
  }

  get deadline(): number {
    return Math.min(
      this.#heartbeats.deadline,
      this.#outbound.deadline,
      this.#links.deadline,
      this.#streams.deadline,
    );
  }

  /** The sockets are open: from here on the member speaks. */
  open(own: Endpoint, now: number): void {
    this.#own = own;
    this.#transmitter.own = own;
    this.#startedAt = now;
    this.#lastAt = now;
    this.#membership = this.#drawIncarnation();
    this.#heartbeats.begin(now);
  }

  /** Until then heartbeats also go there by unicast, unless a peer is heard from there. */
  greet(endpoint: Endpoint, until: number): void {
    this.#expected.greet(endpoint, until);
  }

  /** Can a link message be sent to that member now? */
  linked(incarnation: string): boolean {
    return this.#links.has(incarnation);
  }

  /** By which way that member is reached now. */
  wayTo(member: Peer): Way {
    return this.#transmitter.wayTo(member);
  }

  /** A ticket, ended by an event; undefined when the queue is full or the message too large. */
  send(message: Uint8Array, now: number): number | undefined {
    this.#awake(now);
    return this.#outbound.enqueue(message, now);
  }

  /** False when there is no link to that member now. */
  sendLink(peer: string, message: Uint8Array): boolean {
    return this.#links.send(peer, message);
  }

  /** Tells the others, so that nobody waits for this member. */
  leave(): void {
    const { members } = this.#membership;
    if (this.#own) this.#transmitter.toEverybody(SegmentKind.leave, Buffer.alloc(0), members);
    this.#heartbeats.stop();
    this.#links.removeAll();
  }

  /** Tells all soon, for instance because the note has changed. */
  beatSoon(now: number): void {
    if (this.#own) this.#heartbeats.soon(now);
  }

  handleClock(offsetMs: number): void {
    this.#offsetMs = offsetMs;
  }

  handleDatagram(bytes: Uint8Array, from: Endpoint, channel: Channel, now: number): void {
    if (!this.#own) return;
    this.#awake(now);
    const segment = this.keyring.open(bytes, from, now);
    if (typeof segment === 'string') this.#drop(segment, from);
    else if (segment.incarnation === this.#membership.own)
      this.#handleOwn(segment, from, channel, now);
    else this.#handleSegment({ segment, bytes, from, channel }, now);
    this.#settle(now);
  }

  handleBacklog(waitingBytes: number, now: number): void {
    this.#outbound.flow.queue.handleBacklog(waitingBytes, now);
  }

  handleLink(input: LinkInput, now: number): void {
    this.#awake(now);
    this.#links.handleLink(input, now);
    this.#settle(now);
  }

  handleDeadline(now: number): void {
    if (!this.#own) return;
    this.#awake(now);
    this.#outbound.handleDeadline(now);
    this.#streams.handleDeadline(now);
    this.#links.handleDeadline(now);
    this.#membership.expire(now);
    for (const incarnation of this.#outbound.stalledFor(EXCLUSION_MS, now)) {
      this.#membership.exclude(incarnation, 'stalled');
    }
    this.#settle(now);
    if (this.#membership.exhausted) this.#restart('too many members have come and gone', now);
    if (now >= this.#heartbeats.deadline) this.#beat(now);
  }

  pollOutput(now: number): Output | undefined {
    const first = this.#transmitter.poll() ?? this.#links.pollOutput();
    if (first || !this.#own) return first;
    this.#streams.speak(now);
    const told = this.#transmitter.poll();
    if (told) return told;
    const transmission = this.#outbound.poll(now);
    if (!transmission) return undefined;
    const { body, to } = transmission;
    const { members } = this.#membership;
    if (!to) this.#transmitter.toAll(SegmentKind.data, body, members);
    else {
      const wanting = members.filter(({ incarnation }) => to.includes(incarnation));
      this.#transmitter.toSome(SegmentKind.data, body, wanting);
    }
    return this.#transmitter.poll();
  }

  pollEvent(): GroupEvent | undefined {
    const event = this.#events.shift();
    if (event) return event;
    const ended = this.#outbound.pollEnded();
    if (ended) return ended;
    return this.#streams.pollEvent();
  }

  /** Own segments come back, by multicast or as loop-back copies: the first two gates' measure. */
  #handleOwn(segment: OpenedSegment, from: Endpoint, channel: Channel, now: number): void {
    const first = this.#listening.handleOwn(segment.packet, channel, now);
    if (!first) return this.#drop('replayed', from);
    if (segment.kind !== SegmentKind.data) return;
    const sequence = sequenceOf(segment.body);
    if (sequence !== undefined) this.#outbound.flow.back(sequence, now);
  }

  #handleSegment(arrival: Arrival, now: number): void {
    const { segment, from, channel } = arrival;
    const kind = kindName(segment.kind);
    if (!kind) return this.#drop('kind', from);
    this.counters.received[kind] += 1;
    if (this.#streams.handleOrphan(arrival, now)) return;
    const newest = segment.packet > (this.#membership.peer(segment.incarnation)?.packet ?? 0);
    const peer = this.#membership.hear(segment, from, this.#expects, now);
    if (typeof peer !== 'string') peer.hearing.handle(channel, now);
    if (kind === 'heartbeat') return this.#handleHeartbeat(segment, peer, from, now);
    if (typeof peer === 'string') return this.#drop(peer, from);
    if (peer.state !== 'member') return this.#drop('not admitted', from);
    if (kind === 'data') return this.#streams.handleData(arrival, peer, now);
    if (kind === 'request') return this.#streams.handleRequest(arrival, peer, now);
    if (kind === 'acknowledgement') return this.#handleAcknowledgement(segment, peer, from, now);
    if (newest) this.#membership.exclude(peer.incarnation, 'left');
    else this.#drop('stale', from);
  }

  #handleHeartbeat(
    segment: OpenedSegment,
    peer: Peer | DropReason,
    from: Endpoint,
    now: number,
  ): void {
    const beat = decodeHeartbeat(segment.body);
    if (!beat) return this.#drop('malformed', from);
    if (typeof peer === 'string') {
      if (peer === 'excluded') this.#membership.handleExcluded(segment.incarnation, beat);
      return this.#drop(peer, from);
    }
    if (segment.packet <= peer.beatPacket) return this.#drop('stale', from);
    peer.beatPacket = segment.packet;
    peer.endpoint = beat.own;
    peer.skewMs = beat.wallMs - (now + this.#offsetMs);
    if (this.#membership.handleHeartbeat(peer, beat, now)) this.beatSoon(now);
    this.#settle(now);
    const named = beat.entries.find((entry) => entry.incarnation === this.#membership.own);
    if (peer.nameRefused) this.#drop('name in use', from);
    if (peer.state !== 'member' || named?.state !== 'member') return;
    this.#streams.follow(peer, beat, named.joinedAt, now);
    const { received, applied } = named;
    // A member that does not follow our stream yet names position 0.
    if (received >= peer.joinedAt) {
      this.#outbound.acknowledge(peer.incarnation, { received, applied, gaps: [] }, now);
    }
  }

  #handleAcknowledgement(segment: OpenedSegment, peer: Peer, from: Endpoint, now: number): void {
    const ack = decodeAcknowledgement(segment.body);
    if (!ack) return this.#drop('malformed', from);
    const owned = ack.incarnation === this.#membership.own;
    if (!owned || !this.#outbound.acknowledge(peer.incarnation, ack, now)) {
      this.#drop('acknowledgement', from);
    }
  }

  /** Carries out what membership and links have found. */
  #settle(now: number): void {
    for (let event = this.#links.pollEvent(); event; event = this.#links.pollEvent()) {
      if (event.kind === 'gone') this.#membership.exclude(event.peer, 'gone');
      else this.#events.push({ kind: 'link', event });
    }
    for (;;) {
      const event = this.#membership.pollEvent();
      if (!event) return;
      if (event.kind === 'admitted') {
        const { peer } = event;
        this.keyring.admit(peer.incarnation);
        peer.joinedAt = peer.beat?.listens
          ? this.#outbound.admitListener(peer.incarnation)
          : this.#outbound.admit(peer.incarnation, now);
        this.#links.add(peer.incarnation, peer.endpoint, now);
        this.#events.push({ kind: 'joined', peer });
      } else if (event.kind === 'excluded') {
        this.#outbound.exclude(event.peer.incarnation, now);
        this.#links.remove(event.peer.incarnation);
        this.#streams.orphan(event.peer, now);
        this.#expected.left(event.peer.endpoint);
        this.#events.push({ kind: 'gone', peer: event.peer, reason: event.reason });
        this.beatSoon(now);
      } else if (event.kind === 'name in use') {
        this.#events.push({ kind: 'refused', by: event.by });
      } else {
        this.#restart('a larger part of the group went on without this member', now);
      }
    }
  }

  /** Every input passes here: a member that stood still has lost its place. */
  #awake(now: number): void {
    const stoodMs = now - this.#lastAt;
    this.#lastAt = now;
    if (!this.#own) return;
    if (stoodMs > STALL_MS) this.#listening.own.forgive(stoodMs);
    if (stoodMs > EXCLUSION_MS) {
      // Nothing more leaves as who it was: its memory may be a copy's (a snapshot, a migration).
      this.#transmitter.clear();
      this.#begin(`it stood still for ${Math.round(stoodMs)} ms`, now);
    } else if (stoodMs > STALL_MS) {
      this.#membership.forgive(stoodMs);
      this.#outbound.forgive(stoodMs);
    }
  }

  #restart(reason: string, now: number): void {
    this.leave();
    this.#begin(reason, now);
  }

  #begin(reason: string, now: number): void {
    this.#links.removeAll();
    this.#outbound.restart();
    this.#streams.restart();
    this.#membership = this.#drawIncarnation();
    this.#events.push({ kind: 'restarted', reason });
    this.#heartbeats.begin(now);
  }

  #drawIncarnation(): Membership {
    const incarnation = this.#options.random(INCARNATION_BYTES);
    this.keyring.adopt(incarnation);
    this.#listening.begin();
    return new Membership({
      own: Buffer.from(incarnation).toString('hex'),
      name: this.#options.name,
      startedAt: this.#startedAt,
    });
  }

  #beat(now: number): void {
    const own = this.#own;
    if (!own) return;
    this.#reviewHearing(now);
    this.#outbound.tidy(now);
    const standing = {
      ...{ membership: this.#membership, startedAt: this.#startedAt, offsetMs: this.#offsetMs },
      ...{ highest: this.#outbound.sequence, oldest: this.#outbound.oldest },
      ...{ roundMs: this.#outbound.flow.round.ms, orphans: this.#streams.orphans },
      keys: this.keyring.ids,
    };
    this.#heartbeats.send(standing, own, now);
  }

  /** Who is heard by which way, and what is to be done where multicast is heard no more. */
  #reviewHearing(now: number): void {
    const { members } = this.#membership;
    const { changed, rejoin } = this.#listening.review(members, this.uptimeMs, now);
    for (const peer of changed) {
      const by = peer.hearing.heard(now).wantsUnicast ? 'unicast' : 'multicast';
      this.#events.push({ kind: 'heard', peer, by });
    }
    this.#transmitter.hearsItself = this.#listening.own.heard(now).multicast;
    if (!rejoin || this.#options.transport === 'unicast') return;
    this.#transmitter.rejoin();
    this.#events.push({ kind: 'rejoined' });
  }

  #drop(reason: DropReason, from: Endpoint): void {
    if (this.counters.drop(reason, from)) this.#events.push({ kind: 'dropped', reason, from });
  }
}
