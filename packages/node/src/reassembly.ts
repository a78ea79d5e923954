import type { SocksDatagram } from '@argyle/secure-udp';

/** RFC 1928 §7: no less than 5 s. */
const LIFE_MS = 5_000;
/** A UDP datagram over IPv4 has no more. */
const DATA_BYTES_MAX = 65_507;

/** `dropped`: so many fragments that will never be whole. */
export interface Reassembled {
  readonly whole: Pick<SocksDatagram, 'host' | 'port' | 'data'> | undefined;
  readonly dropped: number;
}

/**
 * The reassembly queue of one association (RFC 1928 §7): fragments are put together in their order,
 * and what comes out of it abandons all that came before, as time does. Time goes in; one deadline
 * comes out.
 */
export class Reassembly {
  #host = '';
  #port = 0;
  #parts: Buffer[] = [];
  #sizeBytes = 0;
  #deadline = Infinity;

  /** When to call `expire`. */
  get deadline(): number {
    return this.#deadline;
  }

  /** A fragment, which is copied. */
  handle(fragment: SocksDatagram, now: number): Reassembled {
    let dropped = this.expire(now);
    const next = this.#parts.length + 1;
    const same = fragment.host === this.#host && fragment.port === this.#port;
    if (fragment.fragment !== 1 && (fragment.fragment !== next || !same)) {
      return { whole: undefined, dropped: dropped + this.#abandon() + 1 };
    }
    if (fragment.fragment === 1) dropped += this.#abandon();
    this.#sizeBytes += fragment.data.length;
    if (this.#sizeBytes > DATA_BYTES_MAX) {
      return { whole: undefined, dropped: dropped + this.#abandon() + 1 };
    }
    if (this.#parts.length === 0) this.#deadline = now + LIFE_MS;
    this.#host = fragment.host;
    this.#port = fragment.port;
    this.#parts.push(Buffer.from(fragment.data));
    if (!fragment.last) return { whole: undefined, dropped };
    const { host, port } = fragment;
    const data = Buffer.concat(this.#parts);
    this.#abandon();
    return { whole: { host, port, data }, dropped };
  }

  /** How many fragments are abandoned because their time is up. */
  expire(now: number): number {
    return now >= this.#deadline ? this.#abandon() : 0;
  }

  #abandon(): number {
    const abandoned = this.#parts.length;
    this.#parts = [];
    this.#sizeBytes = 0;
    this.#deadline = Infinity;
    return abandoned;
  }
}
