import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Test } from 'tap';
import type { CarriedTunnel } from '../src/carried-tunnel.ts';
import { Carrier, type CarrierLoss } from '../src/carrier.ts';
import { ChunkReader, encodeHeader, type ChunkKindName } from '../src/chunks.ts';
import { FIRST_WINDOW_BYTES } from '../src/credit.ts';
import type { Host } from '../src/host.ts';
import { SystemHost } from '../src/system.ts';
import { Loopback } from './loopback.ts';

export const REQUEST = Buffer.from('a request');
export const SUCCESS = Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
export const FAILURE = Buffer.of(5, 1, 0, 1, 0, 0, 0, 0, 0, 0);
export const NEVER = { idleMs: Infinity };
export const MIB = 1024 * 1024;

/** What one carrier told of itself, and the tunnels that it was asked for. */
export class Side {
  readonly carrier: Carrier;
  readonly losses: CarrierLoss[] = [];
  idles = 0;
  readonly #asked: CarriedTunnel[] = [];
  #wake: () => void = () => undefined;

  constructor(host: Host, stream: Socket, takes: 'requests' | 'replies') {
    this.carrier = new Carrier(host, stream, {
      ...(takes === 'requests' && {
        requested: (tunnel: CarriedTunnel) => {
          this.#asked.push(tunnel);
          this.#wake();
        },
      }),
      idle: () => (this.idles += 1),
      lost: (reason) => {
        this.losses.push(reason);
        this.#wake();
      },
    });
  }

  get asked(): number {
    return this.#asked.length;
  }

  async next(): Promise<CarriedTunnel> {
    for (;;) {
      const tunnel = this.#asked.shift();
      if (tunnel) return tunnel;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async lost(): Promise<CarrierLoss> {
    for (;;) {
      const [reason] = this.losses;
      if (reason) return reason;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

export interface Joined {
  readonly near: Socket;
  readonly far: Socket;
  /** What the client's tunnel holds. */
  readonly nearHeld: Socket;
  readonly asking: CarriedTunnel;
  readonly asked: CarriedTunnel;
}

/** A client's carrier and a node's, over one connection. */
export class Carried {
  readonly loopback: Loopback;
  readonly #host: Host;
  readonly left: Socket;
  readonly right: Socket;
  readonly client: Side;
  readonly node: Side;

  static async open(test: Test, host: Host = new SystemHost()): Promise<Carried> {
    const loopback = await Loopback.open(test);
    return new Carried(host, loopback, await loopback.pair());
  }

  private constructor(host: Host, loopback: Loopback, [left, right]: readonly [Socket, Socket]) {
    this.#host = host;
    this.loopback = loopback;
    this.left = left;
    this.right = right;
    this.client = new Side(this.#host, left, 'replies');
    this.node = new Side(this.#host, right, 'requests');
  }

  /** A tunnel from an application (near) to a destination (far). */
  async tunnel(options = NEVER): Promise<Joined> {
    const asking = this.client.carrier.request(REQUEST);
    const asked = await this.node.next();
    const [farHeld, far] = await this.loopback.pair();
    const [nearHeld, near] = await this.loopback.pair();
    asked.answer(SUCCESS);
    asked.join(farHeld, options);
    await asking.replied;
    asking.join(nearHeld, options);
    return { near, far, nearHeld, asking, asked };
  }
}

/** A node's or a client's carrier, and whoever is at the other end of its connection. */
export class Bare {
  readonly side: Side;
  readonly held: Socket;
  readonly peer: Socket;
  readonly loopback: Loopback;
  readonly chunks: [ChunkKindName, number][] = [];
  readonly #granted = new Map<number, (bytes: number) => void>();

  static async open(test: Test, takes: 'requests' | 'replies' = 'requests'): Promise<Bare> {
    const loopback = await Loopback.open(test);
    return new Bare(loopback, takes, await loopback.pair());
  }

  private constructor(
    loopback: Loopback,
    takes: 'requests' | 'replies',
    [held, peer]: readonly [Socket, Socket],
  ) {
    this.loopback = loopback;
    this.held = held;
    this.peer = peer;
    this.side = new Side(new SystemHost(), held, takes);
    const reader = new ChunkReader();
    peer.on('data', (bytes: Buffer) => {
      reader.read(bytes, {
        data: (tunnel) => this.chunks.push(['data', tunnel]),
        control: (kind, tunnel, payload) => {
          this.chunks.push([kind, tunnel]);
          if (kind === 'credit') this.#granted.get(tunnel)?.(payload.readUInt32BE());
        },
      });
    });
    peer.resume();
  }

  /** Told at once of the first credit, and of each that comes. */
  whenGranted(tunnel: number, granted: (bytes: number) => void): void {
    this.#granted.set(tunnel, granted);
    granted(FIRST_WINDOW_BYTES);
  }

  say(kind: ChunkKindName, tunnel: number, payload: Uint8Array = Buffer.alloc(0)): void {
    this.peer.write(Buffer.concat([encodeHeader(kind, tunnel, payload.length), payload]));
  }
}

export async function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => parts.push(bytes)).resume();
  await once(socket, 'end');
  return Buffer.concat(parts);
}

/** The error's code, or what came instead of an error. */
export async function broken(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    socket.once('end', () => resolve('end'));
    socket.resume();
  });
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Ends when nothing moves any more. */
export async function still(figure: () => number): Promise<void> {
  for (let before = -1; before !== figure();) {
    before = figure();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
