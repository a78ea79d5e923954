/** Requests for the same segment that come so close together are answered by one transmission. */
const GATHER_MS = 2;

/** Segments that are to be sent again, and for whom. */
export class Wanted {
  readonly #wanted = new Map<number, Set<string>>();
  #dueAt = Infinity;

  /** When `take` has something to answer; Infinity while nothing is wanted. */
  get dueAt(): number {
    return this.#dueAt;
  }

  has(sequence: number, member: string): boolean {
    return this.#wanted.get(sequence)?.has(member) === true;
  }

  /** Others may want it too: it is gathered for. */
  add(sequence: number, member: string, now: number): void {
    const wanting = this.#wanted.get(sequence) ?? new Set();
    this.#wanted.set(sequence, wanting.add(member));
    this.#dueAt = Math.min(this.#dueAt, now + GATHER_MS);
  }

  /** Nothing more is gathered for. */
  hurry(now: number): void {
    this.#dueAt = now;
  }

  /** The next, in the order in which they were asked for first. */
  take(now: number): { sequence: number; by: ReadonlySet<string> } | undefined {
    if (now < this.#dueAt) return undefined;
    for (const [sequence, by] of this.#wanted) {
      this.#wanted.delete(sequence);
      return { sequence, by };
    }
    this.#dueAt = Infinity;
    return undefined;
  }

  forget(member: string): void {
    for (const wanting of this.#wanted.values()) wanting.delete(member);
  }

  clear(): void {
    this.#wanted.clear();
    this.#dueAt = Infinity;
  }
}
