/** What wants to be called at a time of its own; Infinity when at none. */
export interface Timed {
  readonly deadline: number;
}

interface Entry<Item> {
  readonly at: number;
  readonly item: Item;
}

/**
 * The earliest deadline among many items, in a binary heap. An item whose deadline moved earlier is
 * put in again, and one whose deadline moved later is found early and put back: what happens a
 * thousand times a second, that a deadline moves on, costs nothing.
 */
export class Deadlines<Item extends Timed> {
  readonly #heap: Entry<Item>[] = [];
  /** The entry that counts, for each item. */
  readonly #armed = new Map<Item, number>();

  get next(): number {
    return this.#heap[0]?.at ?? Infinity;
  }

  /** To be called whenever the item's deadline may have become earlier. */
  arm(item: Item): void {
    const { deadline } = item;
    if (deadline >= (this.#armed.get(item) ?? Infinity)) return;
    this.#armed.set(item, deadline);
    this.#push({ at: deadline, item });
  }

  disarm(item: Item): void {
    this.#armed.delete(item);
    this.#prune();
  }

  clear(): void {
    this.#heap.length = 0;
    this.#armed.clear();
  }

  /** An item that is due: it is disarmed, to be armed again. */
  take(now: number): Item | undefined {
    for (;;) {
      const first = this.#heap[0];
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
      const first = this.#heap[0];
      if (!first || this.#armed.get(first.item) === first.at) return;
      this.#pop();
    }
  }

  #push(entry: Entry<Item>): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (!above || above.at <= entry.at) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const left = heap[child];
      if (!left) break;
      const right = heap[child + 1];
      if (right && right.at < left.at) child += 1;
      const least = heap[child];
      if (!least || least.at >= last.at) break;
      heap[index] = least;
      index = child;
    }
    heap[index] = last;
  }
}
