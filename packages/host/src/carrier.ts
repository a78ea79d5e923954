import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { CarriedTunnel, type Outlet } from './carried-tunnel.ts';
import {
  CHUNK_HEADER_BYTES,
  ChunkReader,
  encodeHeader,
  TUNNEL_MAX,
  type ChunkKindName,
} from './chunks.ts';
import { Growth } from './credit.ts';
import type { Host } from './host.ts';
import { ReadBuffer } from './read-buffer.ts';

export interface CarrierHandlers {
  /** The peer asks for a tunnel: `answer` it. A carrier without this handler is never asked. */
  readonly requested?: (tunnel: CarriedTunnel, request: Buffer) => void;
  /** The last tunnel has left the carrier. */
  readonly idle?: () => void;
  /** The stream is gone or made no sense, and with it every tunnel; once. */
  readonly lost: (reason: CarrierLoss) => void;
}

/** `ended`, `reset`: the stream did. The others are the peer's fault, and have destroyed it. */
export type CarrierLoss = 'ended' | 'reset' | 'malformed' | 'unread';

/** Requests that wait for their answers; beyond this the stream is not read. */
const ASKED_MAX = 256;
/** Chunks without DATA that the peer does not read: each of its requests may cause some. */
const UNREAD_BYTES_MAX = 1024 * 1024;
/** Below this, header and payload are copied into one write, which costs less than two. */
const COPY_BYTES_MAX = 4_096;

/** Where a request names its command, and the one that has two replies (RFC 1928 §4, §6). */
const COMMAND = 1;
const COMMAND_BIND = 2;

const NOTHING = Buffer.alloc(0);

/**
 * One connection that carries tunnels side by side. The stream is the carrier's from now on; who
 * made it still listens to its errors.
 */
export class Carrier {
  readonly #host: Host;
  readonly #stream: Duplex;
  readonly #handlers: CarrierHandlers;
  readonly #chunks = new ChunkReader();
  readonly #tunnels = new Map<number, CarriedTunnel>();
  /** Asked for by the peer. */
  readonly #unanswered = new Set<number>();
  /** Those that had more to send than there was room. */
  readonly #waiting = new Set<number>();
  readonly #outlet: Outlet;
  #last = 0;
  #unreadBytes = 0;
  #corked = false;
  #lost = false;

  constructor(host: Host, stream: Duplex, handlers: CarrierHandlers) {
    this.#host = host;
    this.#stream = stream;
    this.#handlers = handlers;
    this.#outlet = {
      growth: new Growth(),
      send: (kind, tunnel, payload, written) => this.#send(kind, tunnel, payload, written),
      answered: (tunnel) => this.#answered(tunnel),
      left: (tunnel) => this.#left(tunnel),
    };
    stream.on('data', this.#read);
    stream.on('end', this.#ended);
    stream.on('close', this.#closed);
    stream.on('drain', this.#drained);
    if (stream.closed) queueMicrotask(this.#closed);
    else if (stream.readableEnded) queueMicrotask(this.#ended);
    else stream.resume();
  }

  /** Tunnels that are asked for or open. */
  get size(): number {
    return this.#tunnels.size;
  }

  /** Asks the peer for a tunnel; it fails at once if the stream takes nothing any more. */
  request(request: Uint8Array): CarriedTunnel {
    const id = this.#nextId();
    const replies = request[COMMAND] === COMMAND_BIND ? 2 : 1;
    const tunnel = new CarriedTunnel(this.#host, id, this.#outlet, replies);
    if (this.#lost || !this.#stream.writable) {
      tunnel.handleLost();
      return tunnel;
    }
    this.#tunnels.set(id, tunnel);
    this.#send('request', id, request);
    return tunnel;
  }

  readonly #ended = (): void => this.#lose('ended');
  readonly #closed = (): void => this.#lose('reset');

  readonly #read = (bytes: Buffer): void => {
    const memory = new ReadBuffer(this.#stream, bytes);
    const understood = this.#chunks.read(bytes, {
      data: (id, part) => this.#tunnels.get(id)?.handleData(part, memory),
      control: (kind, id, payload) => this.#control(kind, id, payload),
    });
    memory.done();
    if (!understood) this.#lose('malformed');
  };

  #control(kind: Exclude<ChunkKindName, 'data'>, id: number, payload: Buffer): void {
    if (this.#lost) return;
    if (kind === 'request') this.#requested(id, payload);
    // What is still under way for a tunnel that has ended here has no meaning any more.
    else this.#tunnels.get(id)?.handleControl(kind, payload);
  }

  #requested(id: number, request: Buffer): void {
    const { requested } = this.#handlers;
    if (!requested || this.#tunnels.has(id)) return this.#lose('malformed');
    if (this.#unreadBytes > UNREAD_BYTES_MAX) return this.#lose('unread');
    // It has been asked for while the stream was being ended here: there is no way to answer.
    if (!this.#stream.writable) return;
    const tunnel = new CarriedTunnel(this.#host, id, this.#outlet, 0);
    this.#tunnels.set(id, tunnel);
    this.#unanswered.add(id);
    this.#regulate();
    requested(tunnel, request);
  }

  #send(
    kind: ChunkKindName,
    id: number,
    payload: Uint8Array = NOTHING,
    written: () => void = () => undefined,
  ): boolean {
    const stream = this.#stream;
    if (this.#lost || !stream.writable) return false;
    if (!this.#corked) {
      this.#corked = true;
      stream.cork();
      queueMicrotask(() => {
        this.#corked = false;
        stream.uncork();
      });
    }
    const header = encodeHeader(kind, id, payload.length);
    if (payload.length > COPY_BYTES_MAX) {
      stream.write(header);
      stream.write(payload, written);
    } else {
      stream.write(Buffer.concat([header, payload]));
      written();
    }
    if (!stream.writableNeedDrain) return true;
    if (kind !== 'data') this.#unreadBytes += CHUNK_HEADER_BYTES + payload.length;
    this.#waiting.add(id);
    return false;
  }

  #answered(id: number): void {
    this.#unanswered.delete(id);
    this.#regulate();
  }

  #regulate(): void {
    if (this.#lost) return;
    if (this.#unanswered.size > ASKED_MAX) this.#stream.pause();
    else this.#stream.resume();
  }

  readonly #drained = (): void => {
    this.#unreadBytes = 0;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const id of waiting) this.#tunnels.get(id)?.handleRoom();
  };

  #left(id: number): void {
    this.#tunnels.delete(id);
    this.#waiting.delete(id);
    if (this.#unanswered.delete(id)) this.#regulate();
    if (this.#tunnels.size === 0 && !this.#lost) this.#handlers.idle?.();
  }

  #lose(reason: CarrierLoss): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#stream.off('data', this.#read).off('drain', this.#drained);
    this.#stream.off('end', this.#ended).off('close', this.#closed);
    if (reason !== 'ended') this.#stream.destroy();
    const tunnels = [...this.#tunnels.values()];
    this.#tunnels.clear();
    for (const tunnel of tunnels) tunnel.handleLost();
    this.#handlers.lost(reason);
  }

  #nextId(): number {
    assert(this.#tunnels.size < TUNNEL_MAX);
    do this.#last = this.#last === TUNNEL_MAX ? 1 : this.#last + 1;
    while (this.#tunnels.has(this.#last));
    return this.#last;
  }
}
