import type { Endpoint } from '@argyle/host';
import type { ExpectedEndpoints } from './expected-endpoints.ts';
import { encodeHeartbeat, type Entry, heartbeatBytes } from './heartbeat.ts';
import type { Membership } from './membership.ts';
import { type GroupOptions, HEARTBEAT_MS, HEARTBEAT_SPACING_MS } from './options.ts';
import type { Peer } from './peer.ts';
import { OVERHEAD_BYTES, SegmentKind } from './segment.ts';
import type { Transmitter } from './transmitter.ts';

/** Each member gets one of so many heartbeats by unicast too: does that way work? */
const PROBED_EVERY = 8;
/** But no more than so many members get the same one, or a large group does little else. */
const PROBED_MAX = 4;
/** Strangers answered by unicast at once, and how often: replayed recordings cause no more. */
const STRANGERS_MAX = 16;
const ANSWER_SPACING_MS = 200;

/** Where this member stands when a heartbeat leaves. */
export interface Standing {
  readonly membership: Membership;
  readonly startedAt: number;
  readonly offsetMs: number;
  /** Of its stream. */
  readonly highest: number;
  readonly oldest: number;
  readonly roundMs: number;
  /** How far it has the streams of those who are gone. */
  readonly orphans: readonly Entry[];
  /** Of its ring. */
  readonly keys: readonly string[];
}

/** This member's heartbeats: when they leave, what they say, and to whom they go by unicast too. */
export class Heartbeats {
  readonly #options: GroupOptions;
  readonly #expected: ExpectedEndpoints;
  readonly #transmitter: Transmitter;
  #dueAt = Infinity;
  #sentAt = -Infinity;
  #turn = 0;

  constructor(options: GroupOptions, expected: ExpectedEndpoints, transmitter: Transmitter) {
    this.#options = options;
    this.#expected = expected;
    this.#transmitter = transmitter;
  }

  get deadline(): number {
    return this.#dueAt;
  }

  /** The next one leaves at once. */
  begin(now: number): void {
    this.#dueAt = now;
  }

  /** None leaves any more, until they begin again. */
  stop(): void {
    this.#dueAt = Infinity;
  }

  /** There is something to tell; a flood of changes is told together. */
  soon(now: number): void {
    this.#dueAt = Math.min(this.#dueAt, Math.max(now, this.#sentAt + HEARTBEAT_SPACING_MS));
  }

  send(standing: Standing, own: Endpoint, now: number): void {
    const [draw = 0] = this.#options.random(1);
    this.#sentAt = now;
    this.#dueAt = now + HEARTBEAT_MS * (0.9 + (0.2 * draw) / 256);
    const body = this.#compose(standing, own, now);
    this.#transmitter.toGroup(SegmentKind.heartbeat, body);
    const apart = this.#apart(standing.membership, own, now);
    this.#transmitter.toEach(SegmentKind.heartbeat, body, apart);
  }

  #compose(standing: Standing, own: Endpoint, now: number): Buffer {
    const { membership, startedAt, offsetMs, highest, oldest, roundMs, keys } = standing;
    const { name, note: noteNow, segmentBytes, acknowledges = true } = this.#options;
    const note = noteNow();
    const { size, least } = membership.strength;
    const room = segmentBytes - OVERHEAD_BYTES - heartbeatBytes(name, note, keys);
    return encodeHeartbeat({
      ...{ name, note, own, highest, oldest, roundMs, keys, listens: !acknowledges },
      ...{ viewSize: size, leastOfView: least },
      uptimeMs: now - startedAt,
      wallMs: now + offsetMs,
      entries: membership.entries(room, standing.orphans, now),
    });
  }

  /** Who gets it by unicast as well. */
  #apart(membership: Membership, own: Endpoint, now: number): Endpoint[] {
    const greeted = this.#expected.takeDue(now).filter((endpoint) => {
      const self = endpoint.address === own.address && endpoint.port === own.port;
      return !self && !membership.knows(endpoint);
    });
    if (this.#transmitter.transport === 'multicast') return greeted;
    const { members, strangers } = membership;
    this.#turn += 1;
    const every = Math.max(PROBED_EVERY, Math.ceil(members.length / PROBED_MAX));
    const needs = (peer: Peer) => !peer.hearsUs.multicast || !peer.hearing.heard(now).multicast;
    const wanting = members.filter(
      (peer, index) => needs(peer) || index % every === this.#turn % every,
    );
    const answered = strangers
      .filter((peer) => peer.beat && needs(peer) && now - peer.answeredAt >= ANSWER_SPACING_MS)
      .slice(0, STRANGERS_MAX);
    for (const peer of answered) peer.answeredAt = now;
    return [...greeted, ...[...wanting, ...answered].map(({ endpoint }) => endpoint)];
  }
}
