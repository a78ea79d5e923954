import { type ReplicaEvent } from '@argyle/replica';
import { SegmentKind } from '@argyle/multicast';
import type { LossCause, Passage } from '@argyle/simulator';
import type { Life, SimulatedCluster } from './simulated-cluster.ts';

/** What many seeds together must have met, or they prove less than they say. */
export const RARE = [
  'write timeout',
  'write restarted',
  'write alone',
  'window full',
  'gone: gone',
  'gone: silent',
  'gone: deaf',
  'gone: stalled',
  'gone: conflict',
  'gone: left',
  'several gone at once',
  'restarted',
  'refused',
  'exchange failed',
  'dropped: excluded',
  'dropped: not admitted',
  'dropped: replayed',
  'dropped: stale',
  'dropped: duplicate',
  'own copy lost',
  'own copy unread',
  'last segment lost',
  'segment lost for all',
  'repair or copy lost',
  'acknowledgement lost',
  'heartbeat lost',
  'lost: cut',
  'lost: egress',
  'lost: ingress',
  'lost: unread',
  'repaired',
  'sender dead mid-burst',
  'passed on',
  'missed',
  'donor dead',
  'left',
  'restart before exclusion',
  'restart while others are cut off',
  'cut one way',
  'partitioned',
  'double partition',
  'stood still',
  'stood still, not too long',
  'clock skewed',
  'purge while partitioned',
  'multicast cut',
  'forgotten',
  'rejoined',
  'heard: unicast',
  'heard: multicast',
  'no multicast',
  'multicast for some',
  'second tier',
  'request lost',
  'suppressed',
] as const;
export type RareEvent = (typeof RARE)[number];

const TOLD: ReadonlySet<string> = new Set(['refused', 'restarted', 'rejoined', 'missed']);

/** Counts what happens in a simulated cluster that has to have happened. */
export class RareEvents {
  readonly seen = new Map<string, number>();
  readonly #cluster: SimulatedCluster;
  readonly #goneAt = new Map<Life, number>();
  readonly #repairs = new Map<Life, number>();
  /** The data segment that is being sent, and how many have lost it. */
  #losing: { bytes: Uint8Array; count: number } | undefined;
  #partitioned = false;

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
    cluster.simulator.network.lost = (passage, cause) => this.#handleLoss(passage, cause);
  }

  count(what: RareEvent | (string & {}), times = 1): void {
    if (times > 0) this.seen.set(what, (this.seen.get(what) ?? 0) + times);
  }

  observe(life: Life, event: ReplicaEvent): void {
    if (event.kind === 'ended') this.count(`write ${event.outcome}`);
    else if (event.kind === 'gone') {
      this.count(`gone: ${event.reason}`);
      const { now } = this.#cluster.simulator;
      if (this.#goneAt.get(life) === now) this.count('several gone at once');
      this.#goneAt.set(life, now);
    } else if (event.kind === 'exchanged') {
      this.count(event.result.failure === undefined ? 'exchanged' : 'exchange failed');
    } else if (event.kind === 'heard') this.count(`heard: ${event.by}`);
    else if (TOLD.has(event.kind)) this.count(event.kind);
  }

  step(life: Life): void {
    const { queueBytes, sequence, acknowledged, window, repairs } = life.replica.group.outbound;
    if (queueBytes > 0 && sequence - acknowledged >= window.size) this.count('window full');
    this.count('repaired', repairs - (this.#repairs.get(life) ?? 0));
    this.#repairs.set(life, repairs);
  }

  wrote(life: Life): void {
    if (life.replica.group.members.length === 0) this.count('write alone');
  }

  started(life: Life): void {
    const known = this.#cluster.alive.some(
      ({ name, replica }) =>
        name !== life.name && replica.group.members.some(({ beat }) => beat?.name === life.name),
    );
    if (known) this.count('restart before exclusion');
    if (this.#partitioned) this.count('restart while others are cut off');
  }

  /** Before it does: what it leaves undone. */
  crashed(life: Life): void {
    const { queueBytes, sequence, acknowledged } = life.replica.group.outbound;
    if (queueBytes > 0 && sequence > acknowledged) this.count('sender dead mid-burst');
    const reason = `taking records from ${life.name}`;
    if (this.#cluster.alive.some(({ replica }) => replica.reason === reason)) {
      this.count('donor dead');
    }
    this.ended(life);
  }

  /** What its counters say when it ends, or when the run does. */
  ended(life: Life): void {
    const { counters, members } = life.replica.group;
    this.count('passed on', counters.passedOn);
    for (const { cycle } of members) this.count('suppressed', cycle.suppressed);
    for (const [reason, times] of counters.dropped) {
      this.count(`dropped: ${reason}`, times);
    }
  }

  partitioned(): void {
    this.count(this.#partitioned ? 'double partition' : 'partitioned');
    this.#partitioned = true;
  }

  healed(): void {
    this.#partitioned = false;
  }

  purged(): void {
    if (this.#partitioned) this.count('purge while partitioned');
  }

  resumed(stoodStill: boolean): void {
    this.count(stoodStill ? 'stood still' : 'stood still, not too long');
  }

  #handleLoss({ bytes, from, to, channel }: Passage, cause: LossCause): void {
    this.count(`lost: ${cause}`);
    const kind = bytes[1];
    const own = from === to;
    if (kind === SegmentKind.acknowledgement) this.count('acknowledgement lost');
    else if (kind === SegmentKind.request) this.count('request lost');
    else if (kind === SegmentKind.heartbeat && !own) this.count('heartbeat lost');
    if (kind !== SegmentKind.data) return;
    if (own) this.count(cause === 'unread' ? 'own copy unread' : 'own copy lost');
    else if (channel === 'own') this.count('repair or copy lost');
    else this.#handleDataLoss(bytes, from);
  }

  #handleDataLoss(bytes: Uint8Array, from: string): void {
    const sender = this.#cluster.lives.get(from);
    if (!sender?.alive) return;
    const { outbound, members } = sender.replica.group;
    if (outbound.queueBytes === 0) this.count('last segment lost');
    const count = this.#losing?.bytes === bytes ? this.#losing.count + 1 : 1;
    this.#losing = { bytes, count };
    if (members.length > 1 && count === members.length) this.count('segment lost for all');
  }
}
