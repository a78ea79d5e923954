import { createSocket, type Socket } from 'node:dgram';
import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

export interface At {
  readonly address: string;
  readonly port: number;
}

/** One segment as a listener on the group sees it. */
export interface Recorded {
  readonly bytes: Buffer;
  /** Hexadecimal. */
  readonly incarnation: string;
}

/** packages/multicast/PROTOCOL.md, "Segment". */
const Offset = { cluster: 8, incarnation: 16, packet: 32 } as const;
const HEADER_BYTES = 40;
const OVERHEAD_BYTES = 56;
const LOOPBACK = '127.0.0.1';
const TURN_MS = 10;
const RECORDED_MAX = 20_000;
const MEMBERS_MAX = 9;

/** What anybody on the network hears of a group's members, whose own ports follow the group's. */
export class GroupTap {
  readonly recorded: Recorded[] = [];
  readonly #socket: Socket;

  static open(group: At): Promise<GroupTap> {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    const tap = new GroupTap(socket, group.port);
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: group.address, port: group.port }, () => {
        socket.addMembership(group.address, LOOPBACK);
        resolve(tap);
      });
    });
  }

  constructor(socket: Socket, groupPort: number) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      const ofMember = from.port > groupPort && from.port <= groupPort + MEMBERS_MAX;
      if (!ofMember || this.recorded.length >= RECORDED_MAX) return;
      this.recorded.push({ bytes, incarnation: incarnationOf(bytes) });
    });
  }

  /** What one incarnation has sent until now. */
  of(incarnation: string): Buffer[] {
    return this.recorded
      .filter((segment) => segment.incarnation === incarnation)
      .map(({ bytes }) => bytes);
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

export function incarnationOf(segment: Buffer): string {
  return segment.toString('hex', Offset.incarnation, Offset.packet);
}

export type NoiseKind = keyof typeof REASONS;

/** By which reasons the members may count each kind. */
export const REASONS = {
  random: ['version'],
  tiny: ['short'],
  'random seal': ['authentication'],
  'made-up incarnation': ['authentication', 'derivations'],
  truncated: ['authentication'],
  oversized: ['authentication'],
} as const satisfies Record<string, readonly string[]>;

/** Draws forgeries from segments that were recorded of a live member. */
export function forge(kind: NoiseKind, recorded: readonly Buffer[]): Buffer {
  const real = recorded[randomInt(recorded.length)] ?? Buffer.alloc(0);
  if (kind === 'random') {
    const bytes = randomBytes(randomInt(OVERHEAD_BYTES, 1_400));
    bytes[0] = randomInt(2, 256);
    return bytes;
  }
  if (kind === 'tiny') return Buffer.from(real.subarray(0, randomInt(0, OVERHEAD_BYTES)));
  if (kind === 'truncated') return real.subarray(0, randomInt(OVERHEAD_BYTES, real.length));
  if (kind === 'oversized') return Buffer.concat([real, randomBytes(randomInt(1, 60_000))]);
  const header = Buffer.from(real.subarray(0, HEADER_BYTES));
  header.writeUInt32BE(randomInt(2 ** 32), Offset.packet + 4);
  if (kind === 'made-up incarnation') randomBytes(16).copy(header, Offset.incarnation);
  return Buffer.concat([header, randomBytes(randomInt(16, 1_300))]);
}

/** Sends datagrams on loopback at a rate, from one or many ports, and counts those that left. */
export class NoiseSource {
  readonly sent = new Map<string, number>();
  readonly #sockets: readonly Socket[];
  #turn = 0;
  #inFlight = 0;
  #stopped = false;

  static async open(ports: number): Promise<NoiseSource> {
    return new NoiseSource(await Promise.all(Array.from({ length: ports }, openSender)));
  }

  constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  /** Counted under the label when the system has taken it. */
  send(bytes: Uint8Array, to: At, label: string): void {
    this.#turn = (this.#turn + 1) % this.#sockets.length;
    this.#inFlight += 1;
    this.#sockets[this.#turn]?.send(bytes, to.port, to.address, (error) => {
      this.#inFlight -= 1;
      if (!error) this.sent.set(label, (this.sent.get(label) ?? 0) + 1);
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Calls `one` so often a second for so long, or until stopped; answers how often. */
  async run(perSecond: number, durationMs: number, one: (index: number) => void): Promise<number> {
    const start = performance.now();
    let index = 0;
    for (;;) {
      const elapsedMs = performance.now() - start;
      const due = Math.floor((Math.min(elapsedMs, durationMs) * perSecond) / 1_000);
      while (index < due) {
        one(index);
        index += 1;
      }
      if (this.#stopped || elapsedMs >= durationMs) return index;
      await sleep(TURN_MS);
    }
  }

  async close(): Promise<void> {
    while (this.#inFlight > 0) await sleep(TURN_MS);
    await Promise.all(
      this.#sockets.map((socket) => new Promise<void>((done) => socket.close(() => done()))),
    );
  }
}

function openSender(): Promise<Socket> {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, LOOPBACK, () => {
      socket.setMulticastInterface(LOOPBACK);
      socket.setMulticastTTL(0);
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}
