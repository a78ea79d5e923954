/**
 * Fragments of one association's datagrams (RFC 1928 §7). They are joined in order alone: a gap, a
 * step back or another destination abandons all that was kept, and so does a datagram that is
 * whole, since its number is below any other. The first fragment always begins anew, or what is
 * left of an earlier datagram would be joined to the rest of the next.
 */

export interface Fragment {
  /** From 1. */
  readonly position: number;
  readonly last: boolean;
  /** ATYP, DST.ADDR and DST.PORT. */
  readonly destination: Uint8Array;
  readonly data: Uint8Array;
}

/** RFC 1928 §7: no less. */
export const REASSEMBLY_MS = 5_000;
/** The most that UDP carries. */
const JOINED_BYTES_MAX = 65_507;

interface Sequence {
  readonly destination: Buffer;
  readonly parts: Buffer[];
  sizeBytes: number;
  /** When its first fragment came. */
  readonly since: number;
}

/** The reassembly queue of one association. Nothing is kept beyond `deadline`. */
export class Reassembly {
  readonly #dropped: (fragments: number) => void;
  #sequence: Sequence | undefined;

  /** `dropped` is told of fragments that led to nothing. */
  constructor(dropped: (fragments: number) => void) {
    this.#dropped = dropped;
  }

  get deadline(): number {
    return this.#sequence ? this.#sequence.since + REASSEMBLY_MS : Infinity;
  }

  /** Copies what it keeps. The joined data, once it is whole. */
  handle(fragment: Fragment, now: number): Buffer | undefined {
    const { position, last, destination, data } = fragment;
    this.handleDeadline(now);
    if (position === 1) this.#begin(destination, now);
    const sequence = this.#sequence;
    if (!sequence || position === 0 || isRepeated(sequence, fragment)) {
      this.#dropped(1);
      return undefined;
    }
    const follows = position === sequence.parts.length + 1;
    const fits = sequence.sizeBytes + data.length <= JOINED_BYTES_MAX;
    if (!follows || !fits || !sequence.destination.equals(destination)) {
      this.abandon();
      this.#dropped(1);
      return undefined;
    }
    sequence.parts.push(Buffer.from(data));
    sequence.sizeBytes += data.length;
    if (!last) return undefined;
    this.#sequence = undefined;
    return Buffer.concat(sequence.parts);
  }

  handleDeadline(now: number): void {
    if (now >= this.deadline) this.abandon();
  }

  /** What was kept leads to nothing: a whole datagram has come, or none will. */
  abandon(): void {
    if (!this.#sequence) return;
    this.#dropped(this.#sequence.parts.length);
    this.#sequence = undefined;
  }

  #begin(destination: Uint8Array, since: number): void {
    this.abandon();
    this.#sequence = { destination: Buffer.from(destination), parts: [], sizeBytes: 0, since };
  }
}

/** A network doubles datagrams. */
function isRepeated({ parts }: Sequence, { position, data }: Fragment): boolean {
  return position === parts.length && parts.at(-1)?.equals(data) === true;
}
