/** Set whenever it is looked at; cleared when it was passed over once. */
export interface Used {
  used: boolean;
}

/**
 * A map of bounded size, in which the oldest makes room unless it was used since it was last passed
 * over. To use an entry costs one assignment and moves nothing in memory.
 */
export class SecondChance<Key, Value extends Used> {
  readonly #max: number;
  readonly #evicted: (value: Value) => void;
  readonly #entries = new Map<Key, Value>();

  constructor(max: number, evicted: (value: Value) => void = () => undefined) {
    this.#max = max;
    this.#evicted = evicted;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value) value.used = true;
    return value;
  }

  /** The key is new. */
  add(key: Key, value: Value): void {
    if (this.#entries.size >= this.#max) this.#makeRoom();
    this.#entries.set(key, value);
  }

  values(): Iterable<Value> {
    return this.#entries.values();
  }

  clear(): void {
    this.#entries.clear();
  }

  #makeRoom(): void {
    for (const [key, value] of this.#entries) {
      this.#entries.delete(key);
      if (!value.used) {
        this.#evicted(value);
        return;
      }
      value.used = false;
      this.#entries.set(key, value);
    }
  }
}
