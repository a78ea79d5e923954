import { type Item, ITEM_HEADER_BYTES } from './data.ts';
import { Fifo } from './fifo.ts';
import { MESSAGE_BYTES_MAX } from './inbound.ts';

export type WriteOutcome = 'replicated' | 'timeout' | 'restarted';

export interface WriteEnd {
  readonly kind: 'ended';
  readonly ticket: number;
  readonly outcome: WriteOutcome;
}

/** More than this waiting to be sent, and `add` refuses. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;

interface Write {
  readonly ticket: number;
  /** The segment in which its last byte left; Infinity until then. */
  sequence: number;
  readonly enqueuedAt: number;
}

interface Queued {
  readonly write: Write;
  readonly bytes: Uint8Array;
  /** What has left already. */
  offset: number;
}

/** Messages until they have left, and writes until they have ended, both in order. */
export class WriteQueue {
  readonly #queue = new Fifo<Queued>();
  readonly #writes = new Fifo<Write>();
  readonly #ended = new Fifo<WriteEnd>();
  #bytes = 0;
  #ticket = 0;

  /** Waiting to leave. */
  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#queue.length === 0;
  }

  /** When `expire` has something to do. */
  expiresAt(timeoutMs: number): number {
    return (this.#writes.first?.enqueuedAt ?? Infinity) + timeoutMs;
  }

  /** A ticket, ended later by `pollEnded`; undefined when the queue or the message is too large. */
  add(bytes: Uint8Array, now: number): number | undefined {
    if (bytes.length > MESSAGE_BYTES_MAX || bytes.length === 0) return undefined;
    if (this.#bytes + bytes.length > QUEUE_BYTES_MAX) return undefined;
    this.#ticket += 1;
    const write = { ticket: this.#ticket, sequence: Infinity, enqueuedAt: now };
    this.#writes.push(write);
    this.#queue.push({ write, bytes, offset: 0 });
    this.#bytes += bytes.length;
    return write.ticket;
  }

  /** What leaves with that segment: messages and fragments, as many as find room. */
  fill(sequence: number, roomBytes: number): Item[] {
    const items: Item[] = [];
    let room = roomBytes;
    while (room > ITEM_HEADER_BYTES) {
      const head = this.#queue.first;
      if (!head) break;
      const size = Math.min(head.bytes.length - head.offset, room - ITEM_HEADER_BYTES);
      const end = head.offset + size;
      const last = end === head.bytes.length;
      items.push({ first: head.offset === 0, last, bytes: head.bytes.subarray(head.offset, end) });
      room -= ITEM_HEADER_BYTES + size;
      this.#bytes -= size;
      head.offset = end;
      if (!last) break;
      head.write.sequence = sequence;
      this.#queue.shift();
    }
    return items;
  }

  /** There is nobody to send it to: what waits counts as having left. */
  skip(sequence: number): void {
    for (let item = this.#queue.shift(); item; item = this.#queue.shift()) {
      item.write.sequence = sequence;
    }
    this.#bytes = 0;
  }

  /** What has left up to there was applied. */
  settle(sequence: number): void {
    this.#endWhile((write) => write.sequence <= sequence, 'replicated');
  }

  /** What began so long ago fails; it stays under way. */
  expire(timeoutMs: number, now: number): void {
    // The same sum as in `expiresAt`: another rounding would leave it due for ever.
    this.#endWhile(({ enqueuedAt }) => enqueuedAt + timeoutMs <= now, 'timeout');
  }

  restart(): void {
    this.#endWhile(() => true, 'restarted');
    this.skip(0);
  }

  pollEnded(): WriteEnd | undefined {
    return this.#ended.shift();
  }

  /** Writes end in the order in which they began. */
  #endWhile(due: (write: Write) => boolean, outcome: WriteOutcome): void {
    for (let write = this.#writes.first; write && due(write); write = this.#writes.first) {
      this.#ended.push({ kind: 'ended', ticket: write.ticket, outcome });
      this.#writes.shift();
    }
  }
}
