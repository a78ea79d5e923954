import { type Gap } from './gaps.ts';
import type { Inbound } from './inbound.ts';
import type { KeptSegments } from './kept-segments.ts';
import { RepairCycle, type RepairTiming } from './repair-cycle.ts';

/** Members leave a view within that time of each other, and then say what they have. */
const LIFE_MS = 2_000;

/**
 * The stream of a member that is in the view no more. Those who stay give each other what any of
 * them has of it in order, so that all end at the same place.
 */
export class Orphan {
  readonly incarnation: string;
  readonly inbound: Inbound;
  readonly kept: KeptSegments;
  /** When this member asks for what it misses. */
  readonly cycle = new RepairCycle();
  /** When nothing more is done for it. */
  readonly endsAt: number;
  /** Up to where each has it. */
  readonly #holders = new Map<string, number>();
  readonly #asked = new Set<string>();

  constructor(
    incarnation: string,
    stream: { readonly inbound: Inbound; readonly kept: KeptSegments },
    now: number,
  ) {
    this.incarnation = incarnation;
    this.inbound = stream.inbound;
    this.kept = stream.kept;
    this.endsAt = now + LIFE_MS;
  }

  get deadline(): number {
    return Math.min(this.endsAt, this.cycle.deadline);
  }

  /** A member says how far it has it. */
  heldBy(member: string, received: number, timing: () => RepairTiming, now: number): void {
    this.#holders.set(member, received);
    this.inbound.extend(received);
    this.watch(timing, now);
  }

  watch(timing: () => RepairTiming, now: number): void {
    this.cycle.watch(this.inbound.incomplete, timing, now);
  }

  /** What is to be asked for now, and whom: each that has it in turn. */
  due(
    isMember: (incarnation: string) => boolean,
    timing: () => RepairTiming,
    now: number,
  ): { readonly asked: string; readonly gaps: readonly Gap[] } | undefined {
    const gaps = this.cycle.due(this.inbound.gaps(), timing, now);
    const [first] = gaps;
    if (!first) return undefined;
    const holders = [...this.#holders]
      .filter(([member, received]) => received >= first.first && isMember(member))
      .sort(([a, mostA], [b, mostB]) => mostB - mostA || (a < b ? -1 : 1))
      .map(([member]) => member);
    if (holders.every((member) => this.#asked.has(member))) this.#asked.clear();
    const asked = holders.find((member) => !this.#asked.has(member));
    if (asked === undefined) return undefined;
    this.#asked.add(asked);
    return { asked, gaps };
  }
}
