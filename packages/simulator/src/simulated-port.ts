import type { Channel, Endpoint, LinkEnd, Port, PortHandlers } from '@argyle/host';
import type { HostLimits, Line } from './limits.ts';
import type { Network } from './network.ts';
import type { Schedule } from './schedule.ts';

/** A connection attempt into nowhere ends after this. */
const CONNECT_TIMEOUT_MS = 1_000;
/** Bytes that cannot get through are tried again so often… */
const STALL_RETRY_MS = 100;
/** …and so long, then the link is dead. */
const STALL_LIMIT_MS = 3_000;
/** What a buffer holds once its reader has had it. */
const READ_ALREADY = 0xdb;
/** 800 Mbit/s. */
const LINK_BYTES_PER_MS = 100_000;

/** The machine that a port is on. */
export interface PortHost {
  readonly name: string;
  readonly schedule: Schedule;
  readonly network: Network<SimulatedPort>;
  readonly limits: HostLimits;
  readonly egress: Line;
  readonly ingress: Line;
  /** Runs work of its process: now, or when it goes on. */
  perform(work: () => void): void;
}

/** One side of a link: bytes are delivered to it in order. */
interface LinkSide {
  readonly port: SimulatedPort;
  readonly link: number;
  other: LinkSide | undefined;
  /** When the last thing sent to this side arrives; the next arrives no sooner. */
  lastAt: number;
  /** Since when the path is cut with something to deliver; Infinity when it is not. */
  stalledSince: number;
  readonly waiting: (() => void)[];
  /** Writes of this side that are still in the process. */
  unsent: number;
}

export class SimulatedPort implements Port {
  /** Nothing waits in the process: what finds the line's queue full is lost. */
  readonly waitingBytes = 0;
  readonly host: PortHost;
  readonly own: Endpoint;
  readonly group: Endpoint | undefined;
  readonly #handlers: PortHandlers;
  readonly #released: () => void;
  readonly #links = new Map<number, LinkSide>();
  /** Bytes that wait in each socket. */
  readonly #unread: Record<Channel, number> = { group: 0, own: 0 };
  /** When its process has read all that came. */
  #readAt = 0;
  #accepted = 0;
  #open = false;

  constructor(
    host: PortHost,
    options: { own: Endpoint; group: Endpoint | undefined },
    handlers: PortHandlers,
    released: () => void,
  ) {
    this.host = host;
    this.own = options.own;
    this.group = options.group;
    this.#handlers = handlers;
    this.#released = released;
  }

  open(): void {
    if (this.#network.portAt(this.own)) {
      this.#handlers.failed(new Error(`${this.own.address}:${this.own.port} is in use`));
      return;
    }
    this.#open = true;
    this.#network.attach(this);
    this.#handlers.opened(this.own);
  }

  deliver(bytes: Uint8Array, from: Endpoint, channel: Channel): boolean {
    const { receiveMs, receiveQueueBytes } = this.host.limits;
    if (this.#unread[channel] + bytes.length > receiveQueueBytes) return false;
    this.#unread[channel] += bytes.length;
    if (receiveMs === 0) this.#read(bytes, from, channel);
    else {
      const { schedule } = this.host;
      this.#readAt = Math.max(schedule.now, this.#readAt) + receiveMs;
      schedule.after(this.#readAt - schedule.now, () => this.#read(bytes, from, channel));
    }
    return true;
  }

  multicast(bytes: Uint8Array): void {
    if (this.#open) this.#network.multicast(this, bytes);
  }

  rejoin(): void {
    if (this.#open) this.#network.rejoin(this.host.name);
  }

  unicast(bytes: Uint8Array, to: Endpoint): void {
    if (this.#open) this.#network.unicast(this, bytes, to);
  }

  openLink(link: number, to: Endpoint): void {
    const near = side(this, link);
    this.#links.set(link, near);
    const give = (reason: LinkEnd) => () => this.#end(near, reason);
    this.host.schedule.after(2 * this.#network.delay(), () => {
      const peer = this.#network.portAt(to);
      if (peer && !this.#connected(peer)) {
        this.host.schedule.after(CONNECT_TIMEOUT_MS, give('unreachable'));
      } else if (!peer) {
        give(this.#network.isDying(to) ? 'reset' : 'refused')();
      } else if (this.#links.has(link)) {
        this.#establish(near, peer);
      }
    });
  }

  writeLink(link: number, bytes: Uint8Array): void {
    const near = this.#links.get(link);
    if (!near?.other) return;
    const copy = new Uint8Array(bytes);
    const far = near.other;
    send(far, bytes.length, () => {
      far.port.host.schedule.record(`${this.host.name} ${far.port.host.name} link`, copy);
      far.port.#handlers.link({ kind: 'bytes', link: far.link, bytes: copy });
    });
    near.unsent += 1;
    send(near, bytes.length, () => {
      near.unsent -= 1;
      if (near.unsent === 0) this.#handlers.link({ kind: 'drained', link });
    });
  }

  closeLink(link: number): void {
    const near = this.#links.get(link);
    this.#links.delete(link);
    const far = near?.other;
    if (far) send(far, 0, () => far.port.#end(far, 'ended'));
  }

  #read(bytes: Uint8Array, from: Endpoint, channel: Channel): void {
    this.host.perform(() => {
      this.#unread[channel] -= bytes.length;
      if (!this.#open) return;
      this.host.schedule.record(`${from.address} ${this.host.name} ${channel}`, bytes);
      this.#handlers.datagram(bytes, from, channel);
      // Whoever kept a part of it without a copy finds out.
      bytes.fill(READ_ALREADY);
    });
  }

  close(closed?: () => void): void {
    this.#open = false;
    this.#network.detach(this);
    for (const { other } of this.#links.values()) {
      if (other) send(other, 0, () => other.port.#end(other, 'reset'));
    }
    this.#links.clear();
    this.#released();
    closed?.();
  }

  get #network() {
    return this.host.network;
  }

  #connected(peer: SimulatedPort): boolean {
    const [a, b] = [this.host.name, peer.host.name];
    return this.#network.reaches(a, b) && this.#network.reaches(b, a);
  }

  #establish(near: LinkSide, peer: SimulatedPort): void {
    peer.#accepted += 1;
    const far = side(peer, -peer.#accepted);
    near.other = far;
    far.other = near;
    peer.#links.set(far.link, far);
    send(far, 0, () =>
      peer.#handlers.link({ kind: 'accepted', link: far.link, from: { ...this.own, port: 0 } }),
    );
    send(near, 0, () => this.#handlers.link({ kind: 'opened', link: near.link }));
  }

  #end(end: LinkSide, reason: LinkEnd): void {
    if (!this.#links.delete(end.link)) return;
    this.host.perform(() => this.#handlers.link({ kind: 'closed', link: end.link, reason }));
  }

  /** Delivers the side's next work, or waits while the path is cut: a link loses nothing. */
  static deliverNext(to: LinkSide): void {
    const peer = to.other?.port;
    const port = to.port;
    if (!port.#links.has(to.link)) return;
    if (peer && !port.#connected(peer)) {
      const { schedule } = port.host;
      to.stalledSince = Math.min(to.stalledSince, schedule.now);
      if (schedule.now - to.stalledSince > STALL_LIMIT_MS) port.#end(to, 'unreachable');
      else schedule.after(STALL_RETRY_MS, () => SimulatedPort.deliverNext(to));
      return;
    }
    to.stalledSince = Infinity;
    const work = to.waiting.shift();
    if (!work) return;
    port.host.perform(() => {
      if (port.#links.has(to.link)) work();
    });
  }
}

function side(port: SimulatedPort, link: number): LinkSide {
  return {
    port,
    link,
    other: undefined,
    lastAt: 0,
    stalledSince: Infinity,
    waiting: [],
    unsent: 0,
  };
}

/** Each thing sent has a delivery of its own; one that is stalled delivers what is first then. */
function send(to: LinkSide, sizeBytes: number, work: () => void): void {
  const { schedule, network } = to.port.host;
  to.waiting.push(work);
  const arrives = schedule.now + network.delay();
  to.lastAt = Math.max(to.lastAt, arrives) + sizeBytes / LINK_BYTES_PER_MS;
  schedule.after(to.lastAt - schedule.now, () => SimulatedPort.deliverNext(to));
}
