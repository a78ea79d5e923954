import type { Duplex } from 'node:stream';
import type { Cancel, Host } from './host.ts';
import { ReadBuffer } from './read-buffer.ts';
import { reset } from './reset.ts';

export interface TunnelOptions {
  /** Closed when no byte moved in either direction for this long; Infinity keeps it open. */
  readonly idleMs: number;
}

/** Two byte streams joined end to end. It owns both, and has destroyed both when `closed` ends. */
export interface Tunnel {
  /** Never rejects. */
  readonly closed: Promise<TunnelEnd>;
  /** Bytes read from the first stream so far, and from the second. */
  readonly forwardBytes: number;
  readonly backwardBytes: number;
  /** Cuts both streams at once; a peer over TCP sees a reset, never a clean end. */
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
  readonly closed: Promise<TunnelEnd>;
  readonly #host: Host;
  readonly #first: Duplex;
  readonly #second: Duplex;
  readonly #idleMs: number;
  readonly #forward: Direction;
  readonly #backward: Direction;
  #reason: TunnelEnd['reason'] = 'ended';
  #open = 2;
  #cancelIdle: Cancel | undefined;
  #resolve: (end: TunnelEnd) => void = () => undefined;

  constructor(host: Host, first: Duplex, second: Duplex, options: TunnelOptions) {
    this.#host = host;
    this.#first = first;
    this.#second = second;
    this.#idleMs = options.idleMs;
    this.closed = new Promise((resolve) => (this.#resolve = resolve));
    this.#forward = new Direction(host, first, second);
    this.#backward = new Direction(host, second, first);
    for (const stream of [first, second]) this.#watch(stream);
    this.#forward.start();
    this.#backward.start();
    this.#armIdle(this.#idleMs);
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

  #watch(stream: Duplex): void {
    if (stream.closed) {
      this.#streamClosed(stream);
      return;
    }
    stream.on('error', () => undefined);
    stream.once('close', () => this.#streamClosed(stream));
  }

  #streamClosed(stream: Duplex): void {
    this.#open -= 1;
    if (!stream.readableEnded || !stream.writableFinished || stream.errored) this.#cut('reset');
    if (this.#open > 0) return;
    this.#cancelIdle?.();
    const { forwardBytes, backwardBytes } = this;
    this.#resolve({ reason: this.#reason, forwardBytes, backwardBytes });
  }

  /** The first reason stands. */
  #cut(reason: TunnelEnd['reason']): void {
    if (this.#reason === 'ended') this.#reason = reason;
    reset(this.#first);
    reset(this.#second);
  }

  #armIdle(delayMs: number): void {
    if (this.#idleMs === Infinity || this.#open === 0) return;
    this.#cancelIdle = this.#host.after(delayMs, () => {
      const movedAt = Math.max(this.#forward.movedAt, this.#backward.movedAt);
      const leftMs = movedAt + this.#idleMs - this.#host.now();
      if (leftMs > 0) this.#armIdle(leftMs);
      else this.#cut('idle');
    });
  }
}

/** One way through a tunnel: at most one chunk beyond what the sink's buffer asks for. */
class Direction {
  bytes = 0;
  /** When a byte was last read, or the sink last took all it had. */
  movedAt: number;
  readonly #host: Host;
  readonly #source: Duplex;
  readonly #sink: Duplex;

  constructor(host: Host, source: Duplex, sink: Duplex) {
    this.#host = host;
    this.#source = source;
    this.#sink = sink;
    this.movedAt = host.now();
  }

  start(): void {
    const source = this.#source;
    const sink = this.#sink;
    if (source.readableEnded) {
      sink.end();
      return;
    }
    source.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.movedAt = this.#host.now();
      if (!sink.write(chunk, new ReadBuffer(source, chunk).done)) source.pause();
    });
    source.once('end', () => sink.end());
    sink.on('drain', () => {
      this.movedAt = this.#host.now();
      source.resume();
    });
    if (sink.writableNeedDrain) source.pause();
    else source.resume();
  }
}
