import type { Host } from '@argyle/host';

/** Addresses remembered at once; beyond it no session is kept for a newcomer. */
const ADDRESSES_MAX = 65_536;

/**
 * How many sessions without a login each address has in the cache. Every one is in every node's
 * memory, so what strangers can put there is bounded by where they come from.
 */
export class BeforeLogin {
  readonly #host: Host;
  readonly #lifetimeMs: number;
  readonly #perAddress: number;
  readonly #counts = new Map<string, number>();
  /** In the order in which they end, because all live equally long. */
  readonly #places = new Set<Place>();

  constructor(host: Host, options: { lifetimeMs: number; perAddress: number }) {
    this.#host = host;
    this.#lifetimeMs = options.lifetimeMs;
    this.#perAddress = options.perAddress;
  }

  /** Undefined when the address has as many as it may. A place is free again after the lifetime. */
  take(address: string, sessions: number): Place | undefined {
    this.#dropEnded();
    const count = this.#counts.get(address) ?? 0;
    if (count + sessions > this.#perAddress) return undefined;
    if (count === 0 && this.#counts.size >= ADDRESSES_MAX) return undefined;
    this.#counts.set(address, count + sessions);
    const place = { address, sessions, endsAt: this.#host.now() + this.#lifetimeMs };
    this.#places.add(place);
    return place;
  }

  /** Its sessions have a login now, or are gone. Giving back twice is giving back once. */
  release(place: Place): void {
    if (!this.#places.delete(place)) return;
    const count = (this.#counts.get(place.address) ?? 0) - place.sessions;
    if (count > 0) this.#counts.set(place.address, count);
    else this.#counts.delete(place.address);
  }

  #dropEnded(): void {
    const now = this.#host.now();
    for (const place of this.#places) {
      if (place.endsAt > now) return;
      this.release(place);
    }
  }
}

export interface Place {
  readonly address: string;
  readonly sessions: number;
  /** Monotonic. */
  readonly endsAt: number;
}
