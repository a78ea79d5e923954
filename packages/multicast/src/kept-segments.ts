import { RECEIVE_WINDOW } from './inbound.ts';
import { SpareBuffers } from './spare-buffers.ts';
import { Wanted } from './wanted.ts';

/** What was sent on so lately is still under way. */
const UNDER_WAY_MS = 10;

interface Kept {
  readonly bytes: Uint8Array;
  sentAt: number;
}

/**
 * Segments of another's stream as they came, sealed by it: should it die, whoever misses one gets
 * it from here, byte for byte. From what its sender still keeps on, and the newest if they are too
 * many.
 */
export class KeptSegments {
  readonly #segments = new Map<number, Kept>();
  readonly #wanted = new Wanted();
  readonly #buffers = new SpareBuffers();
  #bytes = 0;
  #most = 0;

  /** When `take` has something to answer. */
  get deadline(): number {
    return this.#wanted.dueAt;
  }

  /** Copies it. `most`: bytes of memory that this stream takes at most. */
  keep(sequence: number, bytes: Uint8Array, most: number): void {
    if (this.#segments.has(sequence)) return;
    const copy = this.#buffers.copy(bytes);
    this.#segments.set(sequence, { bytes: copy, sentAt: -Infinity });
    this.#bytes += copy.buffer.byteLength;
    this.#most = most;
    for (const [oldest, kept] of this.#segments) {
      if (this.#bytes <= most && this.#segments.size <= RECEIVE_WINDOW) break;
      this.#drop(oldest, kept);
    }
  }

  /** All have applied what came before that. */
  release(oldest: number): void {
    for (const [sequence, kept] of this.#segments) {
      if (sequence < oldest) this.#drop(sequence, kept);
    }
    this.#buffers.tidy();
  }

  /** False if it is not here. */
  want(sequence: number, member: string, now: number): boolean {
    const kept = this.#segments.get(sequence);
    if (kept && now - kept.sentAt >= UNDER_WAY_MS) this.#wanted.add(sequence, member, now);
    return kept !== undefined;
  }

  /** A copy of the next that somebody wants. */
  take(now: number): { bytes: Uint8Array; by: ReadonlySet<string> } | undefined {
    for (let next = this.#wanted.take(now); next; next = this.#wanted.take(now)) {
      const kept = this.#segments.get(next.sequence);
      if (!kept) continue;
      kept.sentAt = now;
      return { bytes: Uint8Array.from(kept.bytes), by: next.by };
    }
    return undefined;
  }

  #drop(sequence: number, { bytes }: Kept): void {
    this.#segments.delete(sequence);
    this.#bytes -= bytes.buffer.byteLength;
    this.#buffers.giveBack(bytes, this.#most - this.#bytes);
  }
}
