/** What a machine and its lines can take. Without limits nothing waits and nothing is full. */
export interface HostLimits {
  /**
   * Its line towards the others. Own copies do not pass it: the system makes them before, so they
   * come back in full while the line is choked or cut.
   */
  egressBytesPerMs: number;
  /** Bytes that may wait before that line; a datagram for which there is no room is lost. */
  egressQueueBytes: number;
  /** The line towards it, at the bridge's port. */
  ingressBytesPerMs: number;
  ingressQueueBytes: number;
  /** Its process takes so long to read a datagram, its own copies among them. */
  receiveMs: number;
  /** Bytes unread in each of its two sockets; what comes on top is lost. A pause fills them too. */
  receiveQueueBytes: number;
}

export const UNLIMITED: HostLimits = {
  egressBytesPerMs: Infinity,
  egressQueueBytes: Infinity,
  ingressBytesPerMs: Infinity,
  ingressQueueBytes: Infinity,
  receiveMs: 0,
  receiveQueueBytes: Infinity,
};

/** A line of some rate behind a queue. Nobody is told of what found the queue full. */
export class Line {
  /** When all that was taken has passed. */
  #freeAt = 0;

  /** Milliseconds until a datagram that comes now has passed; undefined when it is lost. */
  pass(now: number, sizeBytes: number, bytesPerMs: number, queueBytes: number): number | undefined {
    if (bytesPerMs === Infinity) return 0;
    const busyMs = Math.max(0, this.#freeAt - now);
    if (busyMs * bytesPerMs + sizeBytes > queueBytes) return undefined;
    this.#freeAt = now + busyMs + sizeBytes / bytesPerMs;
    return this.#freeAt - now;
  }
}
