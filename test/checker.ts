import assert from 'node:assert/strict';
import { compareVersions } from '@argyle/cache';
import { type Peer, WRITE_TIMEOUT_MS } from '@argyle/multicast';
import type { ReplicaEvent } from '@argyle/replica';
import { ContentsChecker, contentsOf } from './contents-checker.ts';
import { hex, type Life, type SimulatedCluster, TABLE } from './simulated-cluster.ts';
import { StreamLedger } from './stream-ledger.ts';

/** A write under way: what its author holds of the key since. Undefined for a purge. */
interface Write {
  readonly life: Life;
  /** The incarnation that wrote it. */
  readonly author: string;
  readonly ticket: number;
  readonly key: Uint8Array | undefined;
  readonly version: Uint8Array;
  /** Wall time; when it has come, the write may have been refused as expired. */
  readonly expiresAt: number;
  readonly deletes: boolean;
  /** The author's last sequence before it: whoever joined by then must apply it. */
  readonly after: number;
  readonly startedAt: number;
}

/** A write that was reported as replicated, and who had applied it by then. */
interface Replicated {
  readonly write: Write;
  readonly endedAt: number;
  readonly holders: readonly Life[];
}

/** Bounds that every member keeps at every step. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;
const IN_FLIGHT_MAX = 256;
/** Of AES-GCM: of two segments of one key and nonce it differs. */
const TAG_BYTES = 16;
/** A writer learns this late, beyond its time-out, when its process runs. */
const LATE_MS = 250;
/** A host's contents are looked at after so many of its steps. */
const CONTENTS_EVERY = 300;

/**
 * What must always hold (the numbers are those of the invariants in packages/README.md), checked
 * after every step of a simulated cluster for the host that took it.
 */
export class Checker {
  readonly #cluster: SimulatedCluster;
  readonly #ledger = new StreamLedger();
  readonly #contents = new ContentsChecker();
  readonly #waiting = new Map<Life, Map<number, Write>>();
  readonly #replicated: Replicated[] = [];
  /** By key. */
  readonly #written = new Map<string, Write[]>();
  /** Every pair of key (an incarnation's) and nonce (a packet number) that sealed something. */
  readonly #sealed = new Map<string, string>();
  /** Incarnations whose member stood still for too long: nothing more may be sealed as theirs. */
  readonly #lapsed = new Set<string>();
  /** When incarnations were seen alive last. */
  readonly #aliveAt = new Map<string, number>();
  /** When a member admitted an incarnation, and when it excluded one, by both. */
  readonly #admitted = new Map<string, number>();
  readonly #putOut = new Map<string, number>();
  /** From whom a life has taken records last. */
  readonly #donors = new Map<Life, string>();
  /** How far each stream was when it was last looked at. */
  readonly #positions = new WeakMap<Peer, number>();
  /** How much of the own stream each peer was taken to have applied then. */
  readonly #taken = new WeakMap<Peer, number>();
  /** The latest time that any member's clock has shown: what expires later was never expired. */
  #latestWall = 0;

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
    cluster.simulator.network.tap = (bytes) => this.#checkNonce(bytes);
  }

  wrote(write: Write): void {
    const waiting = this.#waiting.get(write.life) ?? new Map<number, Write>();
    this.#waiting.set(write.life, waiting.set(write.ticket, write));
    const key = write.key ? hex(write.key) : '';
    this.#written.set(key, [...(this.#written.get(key) ?? []), write]);
    this.#contents.wrote(write.version, write.expiresAt, write.deletes);
  }

  sent(life: Life, message: Uint8Array): void {
    this.#ledger.sent(life.replica.group.incarnation, message);
  }

  handed(life: Life, sender: string, message: Uint8Array): void {
    const receiver = life.replica.group.incarnation;
    const members = this.#lifeOf(sender)?.replica.group.members ?? [];
    const required = members.some(({ incarnation }) => incarnation === receiver);
    this.#ledger.handed({ sender, receiver, required }, message);
  }

  /** 2: only a listener may miss a part of a living member's stream, and it is told. */
  missed(life: Life, peer: Peer): void {
    const { incarnation, members } = life.replica.group;
    const follows = members.includes(peer);
    assert(life.listens || !follows, `2: ${life.name} acknowledges, and has missed something`);
    this.#ledger.missed(peer.incarnation, incarnation);
  }

  stoodStill(life: Life): void {
    this.#lapsed.add(life.replica.group.incarnation);
  }

  crashed(life: Life): void {
    this.#aliveAt.set(life.replica.group.incarnation, this.#now);
    this.#waiting.delete(life);
  }

  observe(life: Life, event: ReplicaEvent): void {
    this.#readClock(life);
    if (event.kind === 'ended') this.#handleEnded(life, event.ticket, event.outcome);
    else if (event.kind === 'joined') this.#checkAlive(life, event.peer.incarnation);
    else if (event.kind === 'gone') {
      const own = life.replica.group.incarnation;
      this.#putOut.set(`${own} ${event.peer.incarnation}`, this.#now);
    } else if (event.kind === 'exchanged' && event.result.failure === undefined) {
      this.#donors.set(life, event.result.peer);
    } else if (event.kind === 'restarted') this.#donors.delete(life);
    else if (event.kind === 'state' && event.state === 'ready') this.#checkWhole(life);
  }

  /** After a step of that life's host. */
  step(life: Life): void {
    life.steps += 1;
    this.#readClock(life);
    const { outbound, members, incarnation } = life.replica.group;
    this.#aliveAt.set(incarnation, this.#now);
    assert(outbound.queueBytes <= QUEUE_BYTES_MAX, '7: the queue is within its bound');
    const inFlight = outbound.sequence - outbound.acknowledged;
    assert(inFlight <= IN_FLIGHT_MAX, `7: ${inFlight} segments in flight`);
    for (const peer of members) {
      this.#checkStream(peer);
      this.#checkReceiver(life, peer);
    }
    this.#checkWaiting(life);
    const wall = life.replica.wall(this.#now);
    if (life.steps % CONTENTS_EVERY === 0) this.#contents.check(life, wall, this.#latestWall);
  }

  /** At the contents of all who live, now. */
  look(): void {
    for (const life of this.#cluster.alive) {
      this.#contents.check(life, life.replica.wall(this.#now), this.#latestWall);
    }
  }

  /** Writes that have not ended. */
  get waiting(): number {
    let waiting = 0;
    for (const { size } of this.#waiting.values()) waiting += size;
    return waiting;
  }

  /** After everything settled. */
  settled(): void {
    assert.equal(this.waiting, 0, '12: every write has ended');
    this.look();
    const contents = this.#cluster.alive.map((life) =>
      contentsOf(life, life.replica.wall(this.#now)),
    );
    for (const held of contents) assert.deepEqual(held, contents[0], '13: all replicas are equal');
  }

  get #now(): number {
    return this.#cluster.simulator.now;
  }

  #lifeOf(incarnation: string): Life | undefined {
    return this.#cluster.alive.find(({ replica }) => replica.group.incarnation === incarnation);
  }

  #readClock({ replica }: Life): void {
    this.#latestWall = Math.max(this.#latestWall, replica.wall(this.#now));
  }

  #handleEnded(life: Life, ticket: number, outcome: string): void {
    const write = this.#waiting.get(life)?.get(ticket);
    this.#waiting.get(life)?.delete(ticket);
    if (!write || outcome !== 'replicated') return;
    this.#replicated.push({ write, endedAt: this.#now, holders: this.#checkApplied(write) });
  }

  /** 1: what was reported as replicated is applied by all of the writer's view who acknowledge. */
  #checkApplied(write: Write): Life[] {
    const holders = [write.life];
    for (const { incarnation, joinedAt, beat } of write.life.replica.group.members) {
      if (beat?.listens) continue;
      const other = joinedAt > write.after ? undefined : this.#lifeOf(incarnation);
      if (!other) continue;
      assert(this.#holds(other, write), `1: ${other.name} has not applied the write`);
      holders.push(other);
    }
    return holders;
  }

  /** That write, or what superseded it; or that may have expired, and be forgotten. */
  #holds({ replica: { cache } }: Life, { key, version }: Write): boolean {
    if (compareVersions(cache.purgeEpoch, version) >= 0) return true;
    const held = key && cache.version(TABLE, key);
    if (held && compareVersions(held, version) >= 0) return true;
    return (this.#written.get(key ? hex(key) : '') ?? []).some(
      (write) =>
        compareVersions(write.version, version) >= 0 && write.expiresAt <= this.#latestWall,
    );
  }

  /**
   * 9: who is ready holds what its donor's view had acknowledged before it joined that, and what
   * its donor has of those whom it has met since, unless they had put it out.
   */
  #checkWhole(life: Life): void {
    const own = life.replica.group.incarnation;
    const donor = this.#lifeOf(this.#donors.get(life) ?? '');
    if (!donor) return;
    const admittedAt = this.#admitted.get(`${donor.replica.group.incarnation} ${own}`) ?? -Infinity;
    for (const { write, endedAt, holders } of this.#replicated) {
      // A writer waits for no listener.
      const met = !life.listens && this.#admitted.has(`${own} ${write.author}`);
      const putOutAt = this.#putOut.get(`${write.author} ${own}`) ?? Infinity;
      const due = endedAt <= admittedAt || (met && endedAt < putOutAt);
      if (!due || !holders.includes(donor)) continue;
      const what = write.key ? Buffer.from(write.key).toString() : 'a purge';
      const lacks = `${life.name} is ready, and lacks ${what} of ${write.life.name}`;
      assert(this.#holds(life, write), `9: ${lacks}`);
    }
  }

  /** 2, 3, 10: a stream is applied in order, and no further than its sender has sent it. */
  #checkStream(peer: Peer): void {
    if (!peer.inbound) return;
    const { applied, received } = peer.inbound;
    if (this.#positions.get(peer) === received + applied) return;
    this.#positions.set(peer, received + applied);
    const sent = this.#lifeOf(peer.incarnation)?.replica.group.outbound.sequence ?? Infinity;
    const ordered = applied <= received && received <= sent;
    assert(ordered, `2: applied ${applied}, received ${received}, sent ${sent}`);
  }

  /** 8, 10: nobody is taken to have applied more than it has; what is above that is still kept. */
  #checkReceiver(life: Life, peer: Peer): void {
    const { group } = life.replica;
    const applied = group.outbound.receiver(peer.incarnation)?.applied;
    if (applied === undefined || this.#taken.get(peer) === applied) return;
    this.#taken.set(peer, applied);
    const other = this.#lifeOf(peer.incarnation)?.replica.group;
    const inbound = other?.members.find((each) => each.incarnation === group.incarnation)?.inbound;
    if (!inbound) return;
    assert(applied <= inbound.applied, `8: applied ${inbound.applied}, taken as ${applied}`);
    assert(group.outbound.acknowledged <= applied, '8: the slowest counts');
  }

  /** 12: no writer waits longer than its time-out, while its process runs. */
  #checkWaiting(life: Life): void {
    const [oldest] = this.#waiting.get(life)?.values() ?? [];
    if (!oldest || life.pausedAt < Infinity) return;
    const waitedMs = this.#now - Math.max(oldest.startedAt, life.resumedAt);
    const bound = WRITE_TIMEOUT_MS + LATE_MS;
    assert(waitedMs <= bound, `12: a writer at ${life.name} waited ${Math.round(waitedMs)} ms`);
  }

  /** 14: no pair of key and nonce seals two segments. */
  #checkNonce(segment: Uint8Array): void {
    const pair = hex(segment.subarray(16, 40));
    const tag = hex(segment.subarray(-TAG_BYTES));
    // Copies of one transmission are the same bytes, and so is what others pass on of it.
    const known = this.#sealed.get(pair);
    if (known !== undefined) return assert(known === tag, `14: ${pair} sealed two segments`);
    assert(!this.#lapsed.has(pair.slice(0, 32)), 'it stood still, and seals as who it was');
    this.#sealed.set(pair, tag);
  }

  /** 16: nobody is admitted who was not alive after the admitting member started. */
  #checkAlive(life: Life, incarnation: string): void {
    const own = life.replica.group.incarnation;
    assert(own !== incarnation, '16: it is itself');
    this.#admitted.set(`${own} ${incarnation}`, this.#now);
    const aliveAt = this.#lifeOf(incarnation) ? this.#now : this.#aliveAt.get(incarnation);
    assert(aliveAt !== undefined, '16: it was some member');
    assert(aliveAt >= life.startedAt, `16: ${life.name} admits who was dead when it started`);
  }
}
