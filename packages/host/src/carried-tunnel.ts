import type { Duplex } from 'node:stream';
import type { ChunkKindName } from './chunks.ts';
import type { Cancel, Host } from './host.ts';
import { ReadBuffer } from './read-buffer.ts';
import { reset } from './reset.ts';
import type { Tunnel, TunnelEnd } from './tunnel.ts';

/** A carrier, as one of its tunnels sees it. */
export interface Outlet {
  /** False when the carrier is full: `handleRoom` tells when it is not. */
  send(kind: ChunkKindName, tunnel: number, payload?: Uint8Array, written?: () => void): boolean;
  queued(bytes: number): void;
  answered(tunnel: number): void;
  left(tunnel: number): void;
}

/** SOCKS5's code of success, the second byte of a reply (RFC 1928 §6). */
const SUCCEEDED = 0;
/** What may wait behind a tunnel's socket before the peer is told to stop. */
const QUEUED_BYTES_HIGH = 256 * 1024;
/** What a part that waits costs beside its bytes: a peer may send them one by one. */
const PART_BYTES = 256;

/**
 * One tunnel on a carrier. At the side that asked: wait for `replied`, then `join` a socket to it.
 * At the other: `answer`, and after a success `join`. `abort` ends it at any time.
 */
export class CarriedTunnel implements Tunnel {
  /** The reply; undefined when the tunnel ended before one came. */
  readonly replied: Promise<Buffer | undefined>;
  readonly closed: Promise<TunnelEnd>;
  readonly #host: Host;
  readonly #id: number;
  readonly #outlet: Outlet;
  #socket: Duplex | undefined;
  #reason: TunnelEnd['reason'] = 'ended';
  #onCarrier = true;
  /** Directions that have ended: towards the peer, and from it. */
  readonly #ended = { sent: false, received: false };
  /** The peer has enough; the carrier has; the socket here has. */
  readonly #stopped = { byPeer: false, byCarrier: false, here: false };
  #unreplied: boolean;
  #finished = false;
  /** What came before there was a socket. */
  #early: { readonly part: Buffer; readonly memory: ReadBuffer }[] = [];
  #queuedBytes = 0;
  #forwardBytes = 0;
  #backwardBytes = 0;
  #movedAt: number;
  #idleMs = Infinity;
  #cancelIdle: Cancel | undefined;
  #reply: (reply: Buffer | undefined) => void = () => undefined;
  #close: (end: TunnelEnd) => void = () => undefined;
  #gone: () => void = () => undefined;

  constructor(host: Host, id: number, outlet: Outlet, side: 'asking' | 'asked') {
    this.#host = host;
    this.#id = id;
    this.#outlet = outlet;
    this.#unreplied = side === 'asking';
    this.#movedAt = host.now();
    this.replied = new Promise((resolve) => (this.#reply = resolve));
    this.closed = new Promise((resolve) => (this.#close = resolve));
  }

  /** From the carrier to the socket. */
  get forwardBytes(): number {
    return this.#forwardBytes;
  }

  get backwardBytes(): number {
    return this.#backwardBytes;
  }

  /** Called once, if the peer gives the tunnel up before there is a socket. */
  whenGone(gone: () => void): void {
    if (this.#onCarrier) this.#gone = gone;
    else gone();
  }

  /** A SOCKS5 reply; one of a failure ends the tunnel. */
  answer(reply: Uint8Array): void {
    if (!this.#onCarrier) return;
    this.#send('reply', reply);
    this.#outlet.answered(this.#id);
    if (reply[1] !== SUCCEEDED) this.#leave();
  }

  /**
   * After a success: joins a socket that allows half-open, which is the tunnel's from now on, with
   * back-pressure and half-close both ways. `idleMs`: cut when no byte moved for so long.
   */
  join(socket: Duplex, { idleMs }: { readonly idleMs: number }): void {
    this.#socket = socket;
    this.#idleMs = idleMs;
    socket.on('error', () => undefined);
    if (!this.#onCarrier || socket.closed) {
      this.#cut('reset');
      if (socket.closed) this.#finish();
      else socket.once('close', () => this.#finish());
      return;
    }
    socket.once('close', this.#socketClosed);
    socket.on('data', this.#read);
    for (const { part, memory } of this.#early.splice(0)) {
      this.#queue(-part.length - PART_BYTES);
      this.#pass(part, memory);
      memory.done();
    }
    if (this.#ended.received) socket.end();
    if (socket.readableEnded) this.#socketEnded();
    else socket.once('end', this.#socketEnded);
    this.#regulate();
    this.#armIdle(idleMs);
  }

  /** Cuts it at once; a peer over TCP sees a reset, never a clean end. */
  abort(): void {
    this.#cut('aborted');
    if (!this.#socket) this.#finish();
  }

  /** A view of what the carrier read. */
  handleData(part: Buffer, memory: ReadBuffer): void {
    if (this.#ended.received) return this.#cut('reset');
    if (this.#socket) this.#pass(part, memory);
    else {
      memory.use();
      this.#early.push({ part, memory });
      this.#queue(part.length + PART_BYTES);
    }
  }

  handleControl(kind: Exclude<ChunkKindName, 'data' | 'request'>, payload: Buffer): void {
    if (kind === 'end') this.#endReceived();
    else if (kind === 'reset') this.#break('reset');
    else if (kind === 'reply') this.#replyReceived(payload);
    else {
      this.#stopped.byPeer = kind === 'stop';
      this.#regulate();
    }
  }

  /** The carrier has room again. */
  handleRoom(): void {
    this.#movedAt = this.#host.now();
    this.#stopped.byCarrier = false;
    this.#regulate();
  }

  /** The carrier is gone. */
  handleLost(): void {
    this.#onCarrier = false;
    this.#break('reset');
    if (!this.#socket) this.#finish();
  }

  #endReceived(): void {
    if (this.#ended.received) return this.#cut('reset');
    this.#ended.received = true;
    this.#socket?.end();
    if (this.#ended.sent) this.#leave();
  }

  #replyReceived(reply: Buffer): void {
    if (!this.#unreplied) return this.#cut('reset');
    this.#unreplied = false;
    this.#reply(reply);
    if (reply[1] !== SUCCEEDED) this.#leave();
  }

  readonly #read = (bytes: Buffer): void => {
    const socket = this.#socket;
    if (!socket) return;
    this.#movedAt = this.#host.now();
    this.#backwardBytes += bytes.length;
    const { done } = new ReadBuffer(socket, bytes);
    this.#send('data', bytes, done);
    this.#regulate();
  };

  readonly #socketEnded = (): void => {
    this.#ended.sent = true;
    if (!this.#onCarrier) return;
    this.#send('end');
    if (this.#ended.received) this.#leave();
  };

  #pass(part: Buffer, memory: ReadBuffer): void {
    const socket = this.#socket;
    if (!socket || socket.destroyed) return;
    this.#movedAt = this.#host.now();
    this.#forwardBytes += part.length;
    const costBytes = part.length + PART_BYTES;
    this.#queue(costBytes);
    const done = memory.use();
    socket.write(part, () => {
      done();
      this.#written(costBytes);
    });
    if (this.#stopped.here || this.#queuedBytes <= QUEUED_BYTES_HIGH) return;
    this.#stopped.here = true;
    this.#send('stop');
  }

  #written(costBytes: number): void {
    if (this.#finished) return;
    this.#movedAt = this.#host.now();
    this.#queue(-costBytes);
    if (!this.#stopped.here || this.#queuedBytes > 0) return;
    this.#stopped.here = false;
    if (this.#onCarrier) this.#send('go');
  }

  /** What waits behind the socket is the carrier's to bound. */
  #queue(bytes: number): void {
    this.#queuedBytes += bytes;
    this.#outlet.queued(bytes);
  }

  #send(kind: ChunkKindName, payload?: Uint8Array, written?: () => void): void {
    this.#stopped.byCarrier = !this.#outlet.send(kind, this.#id, payload, written);
  }

  #regulate(): void {
    if (this.#stopped.byPeer || this.#stopped.byCarrier) this.#socket?.pause();
    else this.#socket?.resume();
  }

  readonly #socketClosed = (): void => {
    const socket = this.#socket;
    const clean = socket?.readableEnded && socket.writableFinished && !socket.errored;
    if (!clean) this.#cut('reset');
    this.#finish();
  };

  #cut(reason: TunnelEnd['reason']): void {
    if (this.#onCarrier) this.#send('reset');
    this.#break(reason);
  }

  /** The peer need not be told. The first reason stands. */
  #break(reason: TunnelEnd['reason']): void {
    if (this.#reason === 'ended') this.#reason = reason;
    this.#leave();
    if (this.#socket) reset(this.#socket);
    else if (reason === 'reset') this.#gone();
  }

  /** The carrier knows nothing of it any more; the socket may have to send on. */
  #leave(): void {
    if (!this.#onCarrier) return;
    this.#onCarrier = false;
    this.#outlet.left(this.#id);
    if (!this.#socket) this.#finish();
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#cancelIdle?.();
    this.#reply(undefined);
    this.#queue(-this.#queuedBytes);
    this.#early = [];
    const { forwardBytes, backwardBytes } = this;
    this.#close({ reason: this.#reason, forwardBytes, backwardBytes });
  }

  #armIdle(delayMs: number): void {
    if (this.#idleMs === Infinity) return;
    this.#cancelIdle = this.#host.after(delayMs, () => {
      const leftMs = this.#movedAt + this.#idleMs - this.#host.now();
      if (leftMs > 0) this.#armIdle(leftMs);
      else this.#cut('idle');
    });
  }
}
