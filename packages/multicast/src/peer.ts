import { type Endpoint, ReplayWindow } from '@argyle/host';
import type { Acknowledgement } from './acknowledgement.ts';
import { Hearing, type Heard, UNHEARD } from './hearing.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Inbound } from './inbound.ts';
import { KeptSegments } from './kept-segments.ts';
import { RepairCycle } from './repair-cycle.ts';

/** A stream's segments are acknowledged one by one when urgent, else so many together… */
const ACKNOWLEDGE_EVERY = 8;
/** …or after this. */
const ACKNOWLEDGE_DELAY_MS = 5;
/** A gap may be a datagram that was overtaken: it is reported when it is still there then. */
const GAP_DELAY_MS = 2;
/** A gap that stays is reported again. */
const GAP_REPEAT_MS = 20;

/**
 * Another incarnation as this member knows it. `heard`: something sealed with its key came, maybe a
 * recording. `member`: it has named our incarnation, so it lives, and it is in our view.
 */
export class Peer {
  readonly incarnation: string;
  state: 'heard' | 'member' = 'heard';
  endpoint: Endpoint;
  /** It was first heard from where a member is expected. */
  readonly expected: boolean;
  /** The last heartbeat; undefined until one came. */
  beat: Heartbeat | undefined;
  /** Its wall clock minus ours when that heartbeat came, in milliseconds. */
  skewMs = 0;
  heardAt: number;
  /** By which ways it is heard. */
  readonly hearing = new Hearing();
  /** When a heartbeat last went to it by unicast, as to a stranger. */
  answeredAt = -Infinity;
  /** How it says it hears us. */
  hearsUs: Heard = UNHEARD;
  /** When a heartbeat last named us. */
  namedUsAt: number;
  readonly window = new ReplayWindow();
  /** The highest packet number: only what is newer proves that it still lives. */
  packet = 0;
  /** The highest packet number among its heartbeats. */
  beatPacket = 0;
  /** Our sequence when it became a member: it must acknowledge what came later. */
  joinedAt = 0;
  /** It bears our name and is younger. */
  nameRefused = false;
  /** Its stream; undefined until it said where the stream begins for us. */
  inbound: Inbound | undefined;
  /** For others, should it die. */
  readonly kept = new KeptSegments();
  /** When this member, as a listener, asks for what it misses of it. */
  readonly cycle = new RepairCycle();
  #unacknowledged = 0;
  #acknowledgeAt = Infinity;
  #gapAt = Infinity;

  constructor(incarnation: string, endpoint: Endpoint, expected: boolean, now: number) {
    this.expected = expected;
    this.incarnation = incarnation;
    this.endpoint = endpoint;
    this.heardAt = now;
    this.namedUsAt = now;
  }

  get deadline(): number {
    return Math.min(this.#acknowledgeAt, this.#gapAt);
  }

  /** The acknowledgement of a segment that came is due: at once, or soon. */
  owe(urgent: boolean, now: number): void {
    this.#unacknowledged += 1;
    const at =
      urgent || this.#unacknowledged >= ACKNOWLEDGE_EVERY ? now : now + ACKNOWLEDGE_DELAY_MS;
    this.#acknowledgeAt = Math.min(this.#acknowledgeAt, at);
    this.watchGaps(now);
  }

  watchGaps(now: number): void {
    if (!this.inbound?.incomplete) this.#gapAt = Infinity;
    else if (this.#gapAt === Infinity) this.#gapAt = now + GAP_DELAY_MS;
  }

  /** The acknowledgement that must leave now, if any; it is then taken as sent. */
  takeDue(now: number): Acknowledgement | undefined {
    const inbound = this.inbound;
    if (!inbound || this.deadline > now) return undefined;
    const gaps = this.#gapAt <= now ? inbound.gaps() : [];
    if (gaps.length > 0) this.#gapAt = now + GAP_REPEAT_MS;
    this.#unacknowledged = 0;
    this.#acknowledgeAt = Infinity;
    this.watchGaps(now);
    const { received, applied, newest } = inbound;
    return { incarnation: this.incarnation, received, applied, newest, gaps };
  }
}
