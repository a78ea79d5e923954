/** What is to be done at a time: in a binary heap, by time and then in the order of adding. */
export interface Appointment<Item> {
  readonly at: number;
  readonly item: Item;
}

interface Ordered<Item> extends Appointment<Item> {
  readonly order: number;
}

export class Agenda<Item> {
  readonly #heap: Ordered<Item>[] = [];
  #added = 0;

  /** Undefined if there is none. */
  get first(): Appointment<Item> | undefined {
    return this.#heap[0];
  }

  add(at: number, item: Item): void {
    this.#added += 1;
    const added = { at, item, order: this.#added };
    const heap = this.#heap;
    let index = heap.length;
    heap.push(added);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (!above || !before(added, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = added;
  }

  removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const left = heap[child];
      if (!left) break;
      const right = heap[child + 1];
      if (right && before(right, left)) child += 1;
      const least = heap[child];
      if (!least || !before(least, last)) break;
      heap[index] = least;
      index = child;
    }
    heap[index] = last;
  }

  clear(): void {
    this.#heap.length = 0;
  }
}

function before(a: Ordered<unknown>, b: Ordered<unknown>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
