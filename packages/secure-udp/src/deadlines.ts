import { Agenda } from '@argyle/host';

/** What wants to be called at a time of its own; Infinity when at none. */
export interface Timed {
  readonly deadline: number;
}

/**
 * The earliest deadline among many items. An item whose deadline moved earlier is put in again, and
 * one whose deadline moved later is found early and put back: what happens a thousand times a
 * second, that a deadline moves on, costs nothing.
 */
export class Deadlines<Item extends Timed> {
  readonly #agenda = new Agenda<Item>();
  /** The entry that counts, for each item. */
  readonly #armed = new Map<Item, number>();

  get next(): number {
    return this.#agenda.first?.at ?? Infinity;
  }

  /** To be called whenever the item's deadline may have become earlier. */
  arm(item: Item): void {
    const { deadline } = item;
    if (deadline >= (this.#armed.get(item) ?? Infinity)) return;
    this.#armed.set(item, deadline);
    this.#agenda.add(deadline, item);
  }

  disarm(item: Item): void {
    this.#armed.delete(item);
    this.#prune();
  }

  clear(): void {
    this.#agenda.clear();
    this.#armed.clear();
  }

  /** An item that is due: it is disarmed, to be armed again. */
  take(now: number): Item | undefined {
    for (;;) {
      const first = this.#agenda.first;
      if (!first || first.at > now) return undefined;
      this.#armed.delete(first.item);
      this.#prune();
      if (first.item.deadline <= now) return first.item;
      this.arm(first.item);
    }
  }

  /** The first entry always counts. */
  #prune(): void {
    for (;;) {
      const first = this.#agenda.first;
      if (!first || this.#armed.get(first.item) === first.at) return;
      this.#agenda.removeFirst();
    }
  }
}
