import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { CREDIT_BYTES, type ChunkKindName } from './chunks.ts';
import { ReceiveWindow, SendCredit, type Growth } from './credit.ts';
import type { Cancel, Host } from './host.ts';
import { Inlet } from './inlet.ts';
import { ReadBuffer } from './read-buffer.ts';
import { reset } from './reset.ts';
import type { Tunnel, TunnelEnd } from './tunnel.ts';

/** A carrier, as one of its tunnels sees it. */
export interface Outlet {
  readonly growth: Growth;
  /** False when the carrier is full: `handleRoom` tells when it is not. */
  send(kind: ChunkKindName, tunnel: number, payload?: Uint8Array, written?: () => void): boolean;
  answered(tunnel: number): void;
  left(tunnel: number): void;
}

interface Unsent {
  readonly bytes: Buffer;
  readonly memory: ReadBuffer;
}

/** SOCKS5's code of success, the second byte of a reply (RFC 1928 §6). */
const SUCCEEDED = 0;
const NO_REPLY = Promise.resolve(undefined);

/**
 * One tunnel on a carrier. At the side that asked: wait for `replied`, of a BIND for `repliedAgain`
 * too, then `join` a socket to it. At the other: `answer`, to a BIND twice, and after the (last)
 * success `join`. `abort` ends it at any time.
 */
export class CarriedTunnel implements Tunnel {
  /** The reply, to a BIND the first; undefined when the tunnel ended before it came. */
  readonly replied: Promise<Buffer | undefined>;
  /** The second reply to a BIND; undefined when the tunnel ended before it, and for the others. */
  readonly repliedAgain: Promise<Buffer | undefined>;
  readonly closed: Promise<TunnelEnd>;
  readonly #host: Host;
  readonly #id: number;
  readonly #outlet: Outlet;
  #socket: Duplex | undefined;
  #reason: TunnelEnd['reason'] = 'ended';
  #onCarrier = true;
  /** The socket has; the peer was told; it has itself. */
  readonly #ended = { said: false, sent: false, received: false };
  readonly #inlet = new Inlet((bytes) => this.#written(bytes));
  readonly #window: ReceiveWindow;
  readonly #credit = new SendCredit();
  /** What the socket has said and may not leave yet: it is not read on before. */
  #unsent: Unsent | undefined;
  #carrierFull = false;
  /** What takes each reply that is still to come. */
  readonly #awaited: ((reply: Buffer | undefined) => void)[] = [];
  #finished = false;
  #forwardBytes = 0;
  #backwardBytes = 0;
  #movedAt: number;
  #idleMs = Infinity;
  #cancelIdle: Cancel | undefined;
  #close: (end: TunnelEnd) => void = () => undefined;
  #gone: () => void = () => undefined;

  /** `replies`: how many the peer is to give; none at the side that was asked. */
  constructor(host: Host, id: number, outlet: Outlet, replies: 0 | 1 | 2) {
    this.#host = host;
    this.#id = id;
    this.#outlet = outlet;
    this.#window = new ReceiveWindow(outlet.growth);
    this.#movedAt = host.now();
    this.replied = replies > 0 ? this.#reply() : NO_REPLY;
    this.repliedAgain = replies > 1 ? this.#reply() : NO_REPLY;
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

  /** A SOCKS5 reply, to a BIND twice; one of a failure ends the tunnel. */
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
    this.#inlet.attach(socket);
    if (this.#ended.received) this.#inlet.end();
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
    if (!this.#window.received(part.length)) return this.#cut('reset');
    if (this.#socket?.destroyed) return;
    this.#movedAt = this.#host.now();
    this.#forwardBytes += part.length;
    this.#inlet.push(part, memory);
  }

  handleControl(kind: Exclude<ChunkKindName, 'data' | 'request'>, payload: Buffer): void {
    if (kind === 'end') this.#endReceived();
    else if (kind === 'reset') this.#break('reset');
    else if (kind === 'reply') this.#replyReceived(payload);
    else if (kind === 'blocked') this.#grant(this.#window.blocked(!this.#inlet.empty));
    else if (this.#credit.grant(payload.readUInt32BE())) this.#pump();
    else this.#cut('reset');
  }

  /** The carrier has room again. */
  handleRoom(): void {
    this.#movedAt = this.#host.now();
    this.#carrierFull = false;
    this.#pump();
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
    this.#inlet.end();
    if (this.#ended.sent) this.#leave();
  }

  #reply(): Promise<Buffer | undefined> {
    return new Promise((resolve) => this.#awaited.push(resolve));
  }

  #replyReceived(reply: Buffer): void {
    const take = this.#awaited.shift();
    if (!take) return this.#cut('reset');
    take(reply);
    if (reply[1] !== SUCCEEDED) this.#leave();
  }

  readonly #read = (bytes: Buffer): void => {
    const socket = this.#socket;
    // A broken one still says what it had read.
    if (!socket || !this.#onCarrier) return;
    this.#movedAt = this.#host.now();
    this.#backwardBytes += bytes.length;
    assert(!this.#unsent);
    this.#unsent = { bytes, memory: new ReadBuffer(socket, bytes) };
    this.#pump();
  };

  readonly #socketEnded = (): void => {
    this.#ended.said = true;
    this.#pump();
  };

  /** Sends what credit and carrier allow, and reads on when that was all. */
  #pump(): void {
    if (!this.#onCarrier) return;
    if (this.#unsent && !this.#carrierFull) this.#sendOf(this.#unsent);
    if (!this.#unsent && this.#ended.said && !this.#ended.sent) this.#sendEnd();
    const short = !this.#credit.open && !this.#carrierFull && !this.#ended.sent;
    if (short && this.#socket && this.#credit.block()) this.#send('blocked');
    this.#regulate();
  }

  #sendOf({ bytes, memory }: Unsent): void {
    const spent = this.#credit.spend(bytes.length);
    if (spent === 0) return;
    const rest = bytes.subarray(spent);
    this.#unsent = rest.length > 0 ? { bytes: rest, memory } : undefined;
    this.#send('data', bytes.subarray(0, spent), memory.use());
    if (!this.#unsent) memory.done();
  }

  #sendEnd(): void {
    this.#ended.sent = true;
    this.#send('end');
    if (this.#ended.received) this.#leave();
  }

  #written(bytes: number): void {
    if (this.#finished) return;
    this.#movedAt = this.#host.now();
    this.#grant(this.#window.taken(bytes));
  }

  #grant(granted: number): void {
    if (granted === 0 || !this.#onCarrier || this.#ended.received) return;
    const credit = Buffer.allocUnsafe(CREDIT_BYTES);
    credit.writeUInt32BE(granted);
    this.#send('credit', credit);
  }

  #send(kind: ChunkKindName, payload?: Uint8Array, written?: () => void): void {
    this.#carrierFull = !this.#outlet.send(kind, this.#id, payload, written);
  }

  #regulate(): void {
    const full = this.#unsent || this.#carrierFull || !this.#credit.open;
    if (full) this.#socket?.pause();
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
    for (const take of this.#awaited) take(undefined);
    this.#window.close();
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
