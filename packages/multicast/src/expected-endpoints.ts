import type { Endpoint } from '@argyle/host';

const GREETED_MAX = 256;
const LEFT_MAX = 256;

/**
 * Where members may be although none is heard from there: named by the configuration or by
 * discovery, or a member was there before. It proves nothing; it decides who comes first when
 * strangers are many.
 */
export class ExpectedEndpoints {
  readonly #greeted = new Map<string, { endpoint: Endpoint; until: number }>();
  readonly #left = new Set<string>();

  /** Until then heartbeats also go there by unicast. */
  greet(endpoint: Endpoint, until: number): void {
    const key = keyOf(endpoint);
    if (this.#greeted.size >= GREETED_MAX && !this.#greeted.has(key)) return;
    this.#greeted.set(key, { endpoint, until });
  }

  /** A member was there; who starts it again will be there as well. */
  left(endpoint: Endpoint): void {
    const key = keyOf(endpoint);
    this.#left.delete(key);
    this.#left.add(key);
    const [oldest] = this.#left;
    if (this.#left.size > LEFT_MAX && oldest !== undefined) this.#left.delete(oldest);
  }

  has(endpoint: Endpoint): boolean {
    const key = keyOf(endpoint);
    return this.#greeted.has(key) || this.#left.has(key);
  }

  /** Whom to greet now, for the last time those whose time is over. */
  takeDue(now: number): Endpoint[] {
    const due = [...this.#greeted.values()].map(({ endpoint }) => endpoint);
    for (const [key, { until }] of this.#greeted) if (now > until) this.#greeted.delete(key);
    return due;
  }
}

function keyOf({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}
