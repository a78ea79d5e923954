import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Cancel, Host } from './host.ts';
import { Direction } from './tunnel-direction.ts';

export interface TunnelOptions {
  /** Cut when no byte moved in either direction for this long; Infinity keeps it open. */
  readonly idleMs: number;
  /** What the first stream carries are chunks, so it outlives the tunnel. */
  readonly chunked: boolean;
}

/** Two byte streams joined end to end. */
export interface Tunnel {
  /**
   * Ends when the tunnel is done with the first stream. `true` after a clean end of chunks: the
   * stream is open, paused, and the caller's again. Otherwise it is destroyed. Never rejects.
   */
  readonly released: Promise<boolean>;
  /** Ends when the second stream is destroyed as well; what it had to send was sent. */
  readonly closed: Promise<TunnelEnd>;
  /** Payload bytes read from the first stream so far, and from the second. */
  readonly forwardBytes: number;
  readonly backwardBytes: number;
  /** Cuts what it holds at once; a peer over TCP sees a reset, never a clean end. */
  abort(): void;
}

export interface TunnelEnd {
  /** `ended`: both directions came to their end. `reset`: a stream broke off before. */
  readonly reason: 'ended' | 'reset' | 'idle' | 'aborted';
  readonly forwardBytes: number;
  readonly backwardBytes: number;
}

/**
 * Joins two streams with back-pressure and half-close both ways: the end of one is written as the
 * end of the other, whose own direction goes on. Sockets need `allowHalfOpen`. Bytes that a stream
 * already holds (`unshift`) go first.
 */
export function openTunnel(
  host: Host,
  first: Duplex,
  second: Duplex,
  options: TunnelOptions,
): Tunnel {
  return new StreamTunnel(host, first, second, options);
}

class StreamTunnel implements Tunnel {
  readonly released: Promise<boolean>;
  readonly closed: Promise<TunnelEnd>;
  readonly #host: Host;
  readonly #first: Duplex;
  readonly #second: Duplex;
  readonly #options: TunnelOptions;
  readonly #forward: Direction;
  readonly #backward: Direction;
  #reason: TunnelEnd['reason'] = 'ended';
  #holdsFirst = true;
  #holdsSecond = true;
  #cancelIdle: Cancel | undefined;
  #release: (open: boolean) => void = () => undefined;
  #close: (end: TunnelEnd) => void = () => undefined;

  constructor(host: Host, first: Duplex, second: Duplex, options: TunnelOptions) {
    this.#host = host;
    this.#first = first;
    this.#second = second;
    this.#options = options;
    this.released = new Promise((resolve) => (this.#release = resolve));
    this.closed = new Promise((resolve) => (this.#close = resolve));
    const { chunked } = options;
    const handlers = { ended: () => this.#directionEnded(), broken: () => this.#cut('reset') };
    const common = { host, handlers };
    this.#forward = new Direction({ ...common, source: first, sink: second, unwrap: chunked });
    this.#backward = new Direction({ ...common, source: second, sink: first, wrap: chunked });
    first.on('error', ignore);
    second.on('error', ignore);
    if (second.closed) this.#secondClosed();
    else second.once('close', this.#secondClosed);
    if (first.closed) this.#firstClosed();
    else first.once('close', this.#firstClosed);
    this.#forward.start();
    this.#backward.start();
    this.#armIdle(options.idleMs);
  }

  get forwardBytes(): number {
    return this.#forward.bytes;
  }

  get backwardBytes(): number {
    return this.#backward.bytes;
  }

  abort(): void {
    this.#cut('aborted');
  }

  /** A stream of chunks is done when both of its ENDs have passed, whatever the other has to do. */
  #directionEnded(): void {
    if (!this.#options.chunked || this.#reason !== 'ended' || !this.#holdsFirst) return;
    if (!this.#backward.ended) {
      // The next tunnel begins after both ENDs.
      if (this.#forward.rest.length > 0) this.#cut('reset');
      return;
    }
    if (!this.#forward.ended) return;
    this.#forward.stop();
    this.#backward.stop();
    this.#first.off('close', this.#firstClosed).off('error', ignore);
    this.#first.pause();
    if (this.#forward.rest.length > 0) this.#first.unshift(this.#forward.rest);
    this.#let('first');
    this.#release(true);
  }

  readonly #firstClosed = (): void => {
    if (this.#options.chunked || !endedCleanly(this.#first)) this.#cut('reset');
    this.#let('first');
    this.#release(false);
  };

  readonly #secondClosed = (): void => {
    if (!endedCleanly(this.#second)) this.#cut('reset');
    this.#let('second');
  };

  #let(stream: 'first' | 'second'): void {
    if (stream === 'first') this.#holdsFirst = false;
    else this.#holdsSecond = false;
    if (this.#holdsFirst || this.#holdsSecond) return;
    this.#cancelIdle?.();
    const { forwardBytes, backwardBytes } = this;
    this.#close({ reason: this.#reason, forwardBytes, backwardBytes });
  }

  /** The first reason stands. */
  #cut(reason: TunnelEnd['reason']): void {
    if (this.#reason === 'ended') this.#reason = reason;
    if (this.#holdsFirst) reset(this.#first);
    if (this.#holdsSecond) reset(this.#second);
  }

  #armIdle(delayMs: number): void {
    const { idleMs } = this.#options;
    if (idleMs === Infinity || !(this.#holdsFirst || this.#holdsSecond)) return;
    this.#cancelIdle = this.#host.after(delayMs, () => {
      const movedAt = Math.max(this.#forward.movedAt, this.#backward.movedAt);
      const leftMs = movedAt + idleMs - this.#host.now();
      if (leftMs > 0) this.#armIdle(leftMs);
      else this.#cut('idle');
    });
  }
}

function endedCleanly(stream: Duplex): boolean {
  return stream.readableEnded && stream.writableFinished && !stream.errored;
}

function ignore(): void {
  // 'close' follows, and says it.
}

/**
 * While a shutdown is under way libuv refuses to reset, and Node then leaves the socket open for
 * ever. TLS has no reset; a peer sees an end before END, or without close_notify.
 */
function reset(stream: Duplex): void {
  if (stream.destroyed) return;
  const ending = stream.writableEnded && !stream.writableFinished;
  const resettable = stream instanceof Socket && !(stream instanceof TLSSocket) && !ending;
  if (resettable) stream.resetAndDestroy();
  else stream.destroy();
}
