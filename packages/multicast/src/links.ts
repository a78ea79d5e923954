import type { Endpoint, LinkInput, Output, StrangerEnd } from '@argyle/host';
import { INCARNATION_BYTES } from './segment.ts';

/**
 * Links between members (PROTOCOL.md, "Links").
 *
 * +---------------------------------------------------------------+
 * |                          length (32)                          |
 * +---------------+-----------------------------------------------+
 * |   type (8)    |  payload (length - 1) ...
 * +---------------+-----------------------------------------------+
 *
 * The opener's first frame names both incarnations, so a process that took over a dead member's
 * port proves that member dead by rejecting it.
 */
const FrameType = { hello: 1, accept: 2, reject: 3, message: 4 } as const;
const LENGTH_BYTES = 4;
const HELLO_BYTES = 2 * INCARNATION_BYTES;
export const LINK_MESSAGE_BYTES_MAX = 1024 * 1024;
/** The acceptor may not have admitted the opener yet. */
const RETRY_MS = 50;
/** Who opened a link has so long to say who it is. */
const HELLO_TIMEOUT_MS = 3_000;

export type LinkEvent =
  | { readonly kind: 'up' | 'down' | 'drained'; readonly peer: string }
  /** The peer's process is gone: nobody listens there, or another incarnation does. */
  | { readonly kind: 'gone'; readonly peer: string }
  | { readonly kind: 'message'; readonly peer: string; readonly message: Uint8Array };

/**
 * Why a connection to the own port became no link. Besides those of the host: `silent`: it did not
 * say hello; `not admitted`: it is not for us, or from no member of the view; `protocol`: broken.
 */
export type LinkRefusal = StrangerEnd | 'silent' | 'not admitted' | 'protocol';

interface Link {
  readonly link: number;
  peer: string | undefined;
  /** Frames other than the greeting are taken only when up. */
  up: boolean;
  /** When it is closed unless it is up; Infinity for one that this member opened. */
  readonly helloBy: number;
  buffered: Buffer;
}

interface Peer {
  readonly endpoint: Endpoint;
  /** One side opens: the one whose incarnation is greater. After a loss both do. */
  opens: boolean;
  retryAt: number;
}

/** Keeps a link to every member, and says when one proves its process gone. */
export class Links {
  readonly refused = new Map<LinkRefusal, number>();
  readonly #own: () => string;
  readonly #peers = new Map<string, Peer>();
  readonly #links = new Map<number, Link>();
  readonly #outputs: Output[] = [];
  readonly #events: LinkEvent[] = [];
  #opened = 0;

  constructor(own: () => string) {
    this.#own = own;
  }

  get deadline(): number {
    let earliest = Infinity;
    for (const { retryAt } of this.#peers.values()) earliest = Math.min(earliest, retryAt);
    for (const { up, helloBy } of this.#links.values()) {
      if (!up) earliest = Math.min(earliest, helloBy);
    }
    return earliest;
  }

  /** Links that are up. */
  get size(): number {
    return [...this.#links.values()].filter(({ up }) => up).length;
  }

  has(peer: string): boolean {
    return this.#linkOf(peer) !== undefined;
  }

  add(peer: string, endpoint: Endpoint, now: number): void {
    const opens = this.#own() > peer;
    this.#peers.set(peer, { endpoint, opens, retryAt: opens ? now : Infinity });
    this.handleDeadline(now);
  }

  remove(peer: string): void {
    this.#peers.delete(peer);
    for (const link of this.#links.values()) {
      if (link.peer === peer) this.#close(link);
    }
  }

  removeAll(): void {
    this.#peers.clear();
    for (const link of this.#links.values()) this.#close(link);
  }

  /** False when there is no link to the peer: the caller asks another, or later. */
  send(peer: string, message: Uint8Array): boolean {
    const link = this.#linkOf(peer);
    if (!link) return false;
    this.#write(link, FrameType.message, message);
    return true;
  }

  handleLink(input: LinkInput, now: number): void {
    if (input.kind === 'stranger') return this.#count(input.reason);
    if (input.kind === 'accepted') {
      this.#track(input.link, undefined, now + HELLO_TIMEOUT_MS);
      return;
    }
    const link = this.#links.get(input.link);
    if (!link) return;
    if (input.kind === 'opened') this.#greet(link);
    else if (input.kind === 'bytes') this.#receive(link, input.bytes, now);
    else if (input.kind === 'closed') this.#closed(link, input.reason, now);
    else if (link.up && link.peer !== undefined) {
      this.#events.push({ kind: 'drained', peer: link.peer });
    }
  }

  handleDeadline(now: number): void {
    for (const [peer, state] of this.#peers) {
      if (state.retryAt > now) continue;
      state.retryAt = Infinity;
      this.#open(peer, state.endpoint);
    }
    for (const link of this.#links.values()) {
      if (link.up || link.helloBy > now) continue;
      this.#count('silent');
      this.#close(link);
    }
  }

  pollOutput(): Output | undefined {
    return this.#outputs.shift();
  }

  pollEvent(): LinkEvent | undefined {
    return this.#events.shift();
  }

  /** Where there are two, the one that came up first: messages stay in order while it stands. */
  #linkOf(peer: string): Link | undefined {
    for (const link of this.#links.values()) {
      if (link.up && link.peer === peer) return link;
    }
    return undefined;
  }

  #open(peer: string, to: Endpoint): void {
    this.#opened += 1;
    this.#track(this.#opened, peer, Infinity);
    this.#outputs.push({ kind: 'link-open', link: this.#opened, to });
  }

  #track(link: number, peer: string | undefined, helloBy: number): void {
    this.#links.set(link, { link, peer, up: false, helloBy, buffered: Buffer.alloc(0) });
  }

  #greet(link: Link): void {
    this.#write(link, FrameType.hello, Buffer.from(this.#own() + (link.peer ?? ''), 'hex'));
  }

  #receive(link: Link, bytes: Uint8Array, now: number): void {
    link.buffered = Buffer.concat([link.buffered, bytes]);
    while (this.#links.has(link.link) && link.buffered.length > LENGTH_BYTES) {
      const length = link.buffered.readUInt32BE(0);
      if (length === 0 || length > LINK_MESSAGE_BYTES_MAX + 1) return this.#refuse(link, now);
      const end = LENGTH_BYTES + length;
      if (link.buffered.length < end) return;
      const type = link.buffered[LENGTH_BYTES] ?? 0;
      const payload = link.buffered.subarray(LENGTH_BYTES + 1, end);
      link.buffered = link.buffered.subarray(end);
      this.#take(link, type, payload, now);
    }
  }

  #take(link: Link, type: number, payload: Buffer, now: number): void {
    const accepted = link.link < 0;
    if (link.up && link.peer !== undefined && type === FrameType.message) {
      this.#events.push({ kind: 'message', peer: link.peer, message: payload });
    } else if (accepted && !link.up && type === FrameType.hello) {
      this.#takeHello(link, payload);
    } else if (!accepted && !link.up && type === FrameType.accept) {
      this.#raise(link);
    } else if (!accepted && !link.up && type === FrameType.reject && link.peer !== undefined) {
      this.#events.push({ kind: 'gone', peer: link.peer });
      this.#close(link);
    } else {
      this.#refuse(link, now);
    }
  }

  /** The peer broke the protocol; the opener tries again later. */
  #refuse(link: Link, now: number): void {
    this.#count('protocol');
    this.#close(link);
    if (link.up && link.peer !== undefined) this.#events.push({ kind: 'down', peer: link.peer });
    const state = link.peer === undefined ? undefined : this.#peers.get(link.peer);
    if (state?.opens === true) state.retryAt = now + RETRY_MS;
  }

  #takeHello(link: Link, payload: Buffer): void {
    const from = payload.toString('hex', 0, INCARNATION_BYTES);
    const meant = payload.toString('hex', INCARNATION_BYTES);
    if (payload.length === HELLO_BYTES && meant === this.#own() && this.#peers.has(from)) {
      link.peer = from;
      this.#write(link, FrameType.accept, Buffer.alloc(0));
      this.#raise(link);
      return;
    }
    if (payload.length === HELLO_BYTES && meant !== this.#own()) {
      this.#write(link, FrameType.reject, Buffer.alloc(0));
    }
    this.#count('not admitted');
    this.#close(link);
  }

  #count(reason: LinkRefusal): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
  }

  #raise(link: Link): void {
    link.up = true;
    this.#links.delete(link.link);
    this.#links.set(link.link, link);
    if (link.peer !== undefined) this.#events.push({ kind: 'up', peer: link.peer });
  }

  #closed(link: Link, reason: string, now: number): void {
    this.#links.delete(link.link);
    const peer = link.peer;
    const state = peer === undefined ? undefined : this.#peers.get(peer);
    if (peer === undefined || !state) return;
    // Also where another link stands: what was under way on this one is lost.
    if (link.up) this.#events.push({ kind: 'down', peer });
    if (reason === 'refused') {
      this.#events.push({ kind: 'gone', peer });
    } else if (!this.has(peer)) {
      if (link.up) {
        // A process that is dying may still take a connection: ask until it answers or refuses.
        state.opens = true;
        state.retryAt = now;
      } else if (state.opens) state.retryAt = now + RETRY_MS;
      this.handleDeadline(now);
    }
  }

  #write(link: Link, type: number, payload: Uint8Array): void {
    const frame = Buffer.alloc(LENGTH_BYTES + 1 + payload.length);
    frame.writeUInt32BE(payload.length + 1, 0);
    frame[LENGTH_BYTES] = type;
    frame.set(payload, LENGTH_BYTES + 1);
    this.#outputs.push({ kind: 'link-write', link: link.link, bytes: frame });
  }

  #close(link: Link): void {
    if (!this.#links.delete(link.link)) return;
    this.#outputs.push({ kind: 'link-close', link: link.link });
  }
}
