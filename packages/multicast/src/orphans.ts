import type { Data } from './data.ts';
import type { GroupEvent } from './group-event.ts';
import type { Entry } from './heartbeat.ts';
import { UNHEARD } from './hearing.ts';
import { Orphan } from './orphan.ts';
import type { Peer } from './peer.ts';
import type { RepairTiming } from './repair-cycle.ts';
import type { RepairRequest } from './request.ts';

export interface PassedOn {
  readonly data: Data;
  /** As it was sealed. */
  readonly bytes: Uint8Array;
  /** Bytes of its stream that are kept at most. */
  readonly most: number;
}

/** Streams of members that are in the view no more, while those who stay finish them. */
export class Orphans {
  readonly #timing: () => RepairTiming;
  readonly #orphans = new Map<string, { readonly peer: Peer; readonly orphan: Orphan }>();

  /** Of requests: any of the members may miss the same. */
  constructor(timing: () => RepairTiming) {
    this.#timing = timing;
  }

  get deadline(): number {
    let earliest = Infinity;
    for (const { orphan } of this.#orphans.values()) {
      earliest = Math.min(earliest, orphan.deadline);
    }
    return earliest;
  }

  get all(): Orphan[] {
    return [...this.#orphans.values()].map(({ orphan }) => orphan);
  }

  /** For heartbeats: how far this member has them. */
  get entries(): Entry[] {
    return this.all.map(({ incarnation, inbound }) => ({
      ...{ incarnation, state: 'excluded', joinedAt: 0, heard: UNHEARD },
      ...{ received: inbound.received, applied: inbound.applied },
    }));
  }

  get(incarnation: string): Orphan | undefined {
    return this.#orphans.get(incarnation)?.orphan;
  }

  /** It has left the view. False if its stream was not followed. */
  add(peer: Peer, now: number): boolean {
    const { incarnation, inbound, kept } = peer;
    if (!inbound) return false;
    const orphan = new Orphan(incarnation, { inbound, kept }, now);
    this.#orphans.set(incarnation, { peer, orphan });
    orphan.watch(this.#timing, now);
    return true;
  }

  /** What that member says of them. */
  handleEntries(from: string, entries: readonly Entry[], now: number): void {
    for (const { incarnation, state, received } of entries) {
      if (state !== 'excluded' || received === 0) continue;
      this.get(incarnation)?.heldBy(from, received, this.#timing, now);
    }
  }

  /** A segment of one of them, sent on by somebody. True if it was missing. */
  handleData(incarnation: string, { data, bytes, most }: PassedOn, now: number): boolean {
    const orphan = this.get(incarnation);
    if (!orphan || !orphan.inbound.misses(data.sequence)) return false;
    orphan.inbound.accept(data);
    orphan.kept.keep(data.sequence, bytes, most);
    orphan.watch(this.#timing, now);
    return true;
  }

  /** What is to be asked for now. */
  requests(isMember: (incarnation: string) => boolean, now: number): RepairRequest[] {
    return this.all.flatMap((orphan) => {
      const due = orphan.cycle.deadline <= now && orphan.due(isMember, this.#timing, now);
      return due ? [{ stream: orphan.incarnation, ...due }] : [];
    });
  }

  pollMessage(): GroupEvent | undefined {
    for (const { incarnation, inbound } of this.all) {
      const message = inbound.poll();
      if (message) return { kind: 'message', from: incarnation, message };
    }
    return undefined;
  }

  /** Those for which nothing more is done. */
  expire(now: number): { readonly peer: Peer; readonly complete: boolean }[] {
    const ended = [...this.#orphans.values()].filter(({ orphan }) => orphan.endsAt <= now);
    for (const { orphan } of ended) this.#orphans.delete(orphan.incarnation);
    return ended.map(({ peer, orphan }) => ({ peer, complete: !orphan.inbound.incomplete }));
  }

  clear(): void {
    this.#orphans.clear();
  }
}
