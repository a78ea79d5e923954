import type { Endpoint } from '@argyle/host';
import type { DropReason } from './counters.ts';
import { type Entry, ENTRY_BYTES, type Heartbeat } from './heartbeat.ts';
import { UNHEARD } from './hearing.ts';
import type { OpenedSegment } from './keyring.ts';
import { CANDIDATES_MAX, EXCLUDED_MAX, EXCLUDED_TOLD_MS, EXCLUSION_MS } from './options.ts';
import { Peer } from './peer.ts';

/**
 * `left`: it said so. `gone`: its process is. `silent`: not heard within the bound. `deaf`: heard,
 * but it does not hear us. `stalled`: it applies nothing. `conflict`: it excluded us, and its part
 * is the weaker one.
 */
export type ExclusionReason = 'left' | 'gone' | 'silent' | 'deaf' | 'stalled' | 'conflict';

export type MembershipEvent =
  | { readonly kind: 'admitted'; readonly peer: Peer }
  | { readonly kind: 'excluded'; readonly peer: Peer; readonly reason: ExclusionReason }
  /** A stronger part has excluded us: only as a new incarnation are we admitted again. */
  | { readonly kind: 'outnumbered' }
  | { readonly kind: 'name in use'; readonly by: Endpoint };

/** Uptimes closer than that may differ by a heartbeat's delay alone. */
const STARTED_TOGETHER_MS = 100;

/** How many a part is, and the least incarnation in it: the larger part stays, then the lesser. */
interface Strength {
  readonly size: number;
  readonly least: string;
}

/**
 * Who is in the view of this incarnation (PROTOCOL.md, "Membership"). A stranger is listed in our
 * heartbeats as heard; when one of its own names us it is alive, and admitted. Whoever left or was
 * excluded never comes back under that incarnation.
 */
export class Membership {
  readonly own: string;
  readonly #name: string;
  readonly #startedAt: number;
  readonly #peers = new Map<string, Peer>();
  readonly #excluded = new Map<string, { packet: number; heardAt: number }>();
  readonly #events: MembershipEvent[] = [];
  #members: readonly Peer[] | undefined;
  #rotation = 0;

  constructor(options: { own: string; name: string; startedAt: number }) {
    this.own = options.own;
    this.#name = options.name;
    this.#startedAt = options.startedAt;
  }

  /** Asked for with every datagram: the same array until the view changes. */
  get members(): readonly Peer[] {
    this.#members ??= [...this.#peers.values()].filter(({ state }) => state === 'member');
    return this.#members;
  }

  /** Those expected first. */
  get strangers(): Peer[] {
    return [...this.#peers.values()]
      .filter((peer) => peer.state === 'heard')
      .sort((a, b) => Number(b.expected) - Number(a.expected));
  }

  get candidates(): number {
    return this.#peers.size - this.members.length;
  }

  get strength(): Strength {
    const members = this.members;
    const least = members.reduce(
      (found, { incarnation }) => (incarnation < found ? incarnation : found),
      this.own,
    );
    return { size: members.length + 1, least };
  }

  /** So many were excluded that forgetting one would let it in again. */
  get exhausted(): boolean {
    return this.#excluded.size >= EXCLUDED_MAX;
  }

  peer(incarnation: string): Peer | undefined {
    return this.#peers.get(incarnation);
  }

  /** Is there a peer at that address and port? */
  knows(endpoint: Endpoint): boolean {
    for (const { endpoint: at } of this.#peers.values()) {
      if (at.address === endpoint.address && at.port === endpoint.port) return true;
    }
    return false;
  }

  pollEvent(): MembershipEvent | undefined {
    return this.#events.shift();
  }

  /**
   * The peer a segment came from, or why nothing may be done with it. When there are too many
   * strangers, one from where a member is expected takes the place of another.
   */
  hear(
    segment: OpenedSegment,
    from: Endpoint,
    expects: (from: Endpoint) => boolean,
    now: number,
  ): Peer | DropReason {
    const gone = this.#excluded.get(segment.incarnation);
    if (gone) {
      if (segment.packet <= gone.packet) return 'replayed';
      gone.packet = segment.packet;
      gone.heardAt = now;
      return 'excluded';
    }
    let peer = this.#peers.get(segment.incarnation);
    if (!peer) {
      const expected = expects(from);
      if (this.candidates >= CANDIDATES_MAX && !(expected && this.#dropStranger())) {
        return 'candidates';
      }
      peer = new Peer(segment.incarnation, from, expected, now);
      this.#peers.set(segment.incarnation, peer);
    }
    if (!peer.window.accept(segment.packet)) return 'replayed';
    if (segment.packet > peer.packet) {
      peer.packet = segment.packet;
      peer.heardAt = now;
    }
    return peer;
  }

  /** True when the others should soon hear from us what has changed. */
  handleHeartbeat(peer: Peer, beat: Heartbeat, now: number): boolean {
    peer.beat = beat;
    const named = beat.entries.find((entry) => entry.incarnation === this.own);
    if (!named) return peer.state === 'heard';
    peer.namedUsAt = now;
    peer.hearsUs = named.heard;
    if (named.state === 'nameInUse') {
      this.#events.push({ kind: 'name in use', by: peer.endpoint });
      return false;
    }
    if (beat.name === this.#name) {
      peer.nameRefused = this.#isOlder(peer, beat, now);
      return peer.nameRefused;
    }
    if (named.state === 'excluded') return this.#contest(peer, beat);
    if (peer.state === 'member') return false;
    peer.state = 'member';
    this.#members = undefined;
    this.#events.push({ kind: 'admitted', peer });
    return true;
  }

  /** A heartbeat of an incarnation that was excluded: it may have excluded us as well. */
  handleExcluded(incarnation: string, beat: Heartbeat): void {
    const named = beat.entries.find((entry) => entry.incarnation === this.own);
    if (named?.state === 'excluded' && this.#isWeakerThan(incarnation, beat)) {
      this.#events.push({ kind: 'outnumbered' });
    }
  }

  exclude(incarnation: string, reason: ExclusionReason): void {
    const peer = this.#peers.get(incarnation);
    if (!peer) return;
    this.#peers.delete(incarnation);
    this.#members = undefined;
    // A stranger may be a recording; one that has excluded us is alive, and must learn of it.
    if (peer.state === 'heard' && reason !== 'conflict') return;
    this.#excluded.set(incarnation, { packet: peer.packet, heardAt: -Infinity });
    if (peer.state === 'member') this.#events.push({ kind: 'excluded', peer, reason });
  }

  /** Ends those who are silent or deaf. */
  expire(now: number): void {
    for (const peer of this.#peers.values()) {
      if (now - peer.heardAt > EXCLUSION_MS) this.exclude(peer.incarnation, 'silent');
      else if (peer.state === 'member' && now - peer.namedUsAt > EXCLUSION_MS * turns(peer)) {
        this.exclude(peer.incarnation, 'deaf');
      }
    }
  }

  /** This member did not run for a while: that nobody was heard proves nothing. */
  forgive(stalledMs: number): void {
    for (const peer of this.#peers.values()) {
      peer.heardAt += stalledMs;
      peer.namedUsAt += stalledMs;
      peer.hearing.forgive(stalledMs);
    }
  }

  /** Whom the next heartbeat names, as many as fit; those left out come first the next time. */
  entries(roomBytes: number, orphans: readonly Entry[], now: number): Entry[] {
    const entryOf = (peer: Peer) => entry(peer, now);
    const members = this.members.map(entryOf);
    const room = Math.floor(roomBytes / ENTRY_BYTES);
    // A member that is not named often enough takes itself for excluded, whoever else is heard.
    const entries = this.strangers.map(entryOf);
    entries.push(...orphans);
    for (const [incarnation, { heardAt }] of this.#excluded) {
      const named = orphans.some((orphan) => orphan.incarnation === incarnation);
      if (now - heardAt >= EXCLUDED_TOLD_MS || named) continue;
      entries.push(blankEntry(incarnation, 'excluded'));
    }
    if (members.length >= room) return this.#rotated([...members, ...entries], room);
    return [...members, ...this.#rotated(entries, room - members.length)];
  }

  #rotated(entries: Entry[], room: number): Entry[] {
    if (entries.length <= room) return entries;
    this.#rotation = (this.#rotation + room) % entries.length;
    const rotated = [...entries.slice(this.#rotation), ...entries.slice(0, this.#rotation)];
    return rotated.slice(0, room);
  }

  /** Makes room; false when all strangers are expected ones. */
  #dropStranger(): boolean {
    for (const { incarnation, state, expected } of this.#peers.values()) {
      if (state === 'heard' && !expected) return this.#peers.delete(incarnation);
    }
    return false;
  }

  #contest(peer: Peer, beat: Heartbeat): boolean {
    if (this.#isWeakerThan(peer.incarnation, beat)) this.#events.push({ kind: 'outnumbered' });
    else this.exclude(peer.incarnation, 'conflict');
    return true;
  }

  /** Of two that have excluded each other exactly one is, when their heartbeats are up to date. */
  #isWeakerThan(incarnation: string, beat: Heartbeat): boolean {
    const { size, least } = this.strength;
    if (size !== beat.viewSize) return size < beat.viewSize;
    if (least !== beat.leastOfView) return least > beat.leastOfView;
    // Their views overlap: who is in both cannot tell them apart.
    return this.own > incarnation;
  }

  #isOlder(peer: Peer, beat: Heartbeat, now: number): boolean {
    const uptimeMs = now - this.#startedAt;
    const together = Math.abs(uptimeMs - beat.uptimeMs) < STARTED_TOGETHER_MS;
    if (together) return this.own < peer.incarnation;
    return uptimeMs > beat.uptimeMs;
  }
}

/** How many heartbeats it takes that member to name all of its view. */
function turns({ beat }: Peer): number {
  if (!beat || beat.entries.length === 0) return 1;
  return Math.max(1, Math.ceil((beat.viewSize - 1) / beat.entries.length));
}

function entry(peer: Peer, now: number): Entry {
  if (peer.nameRefused) return blankEntry(peer.incarnation, 'nameInUse');
  return {
    incarnation: peer.incarnation,
    state: peer.state,
    joinedAt: peer.joinedAt,
    received: peer.inbound?.received ?? 0,
    applied: peer.inbound?.applied ?? 0,
    heard: peer.hearing.heard(now),
  };
}

function blankEntry(incarnation: string, state: Entry['state']): Entry {
  return { incarnation, state, joinedAt: 0, received: 0, applied: 0, heard: UNHEARD };
}
