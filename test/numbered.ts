import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

const NUMBER_BYTES = 4;
const WARM_UP_MS = 100;
/** What fills the datagrams. */
export const FILLER = 'this is said in clear to nobody but the target';

/** A target that sends every datagram back, and notes when each number came. */
export class EchoTarget {
  /** Times of arrival, by number. */
  readonly arrivals = new Map<number, number[]>();
  readonly #socket: Socket;

  static async open(): Promise<EchoTarget> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new EchoTarget(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      note(this.arrivals, bytes);
      socket.send(bytes, from.port, from.address);
    });
  }

  get port(): number {
    return (this.#socket.address() as AddressInfo).port;
  }

  close(): void {
    this.#socket.close();
  }
}

/** Numbered datagrams at a fixed rate from one socket, and what comes back of them. */
export class NumberedStream {
  readonly sentAt: number[] = [];
  readonly returns = new Map<number, number[]>();
  readonly #socket: Socket;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #startedAt = 0;

  static async open(port: number, everyMs: number): Promise<NumberedStream> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    socket.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new NumberedStream(socket, everyMs);
  }

  private constructor(socket: Socket, everyMs: number) {
    this.#socket = socket;
    this.#everyMs = everyMs;
    socket.on('message', (bytes) => note(this.returns, bytes));
    socket.on('error', () => undefined);
  }

  /** Ends when a datagram has come back: before, only so many wait for an association. */
  async warmUp(): Promise<void> {
    const ask = setInterval(() => this.#socket.send(''), WARM_UP_MS);
    this.#socket.send('');
    await once(this.#socket, 'message');
    clearInterval(ask);
  }

  start(): void {
    this.#startedAt = performance.now() - this.sentAt.length * this.#everyMs;
    this.#timer = setInterval(
      () => {
        // All that are due, should the timer have been late.
        const due = (performance.now() - this.#startedAt) / this.#everyMs;
        while (this.sentAt.length < due) this.#send();
      },
      Math.max(1, this.#everyMs / 2),
    );
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  close(): void {
    this.stop();
    this.#socket.close();
  }

  /** Numbers that never came back. */
  get lost(): number[] {
    return [...this.sentAt.keys()].filter((number) => !this.returns.has(number));
  }

  /** The longest silence about that time, beyond the rate. */
  gapMs(at: number): number {
    return this.longestGapMs(at - 200, at + 4_000);
  }

  /** Between two times. */
  longestGapMs(from: number, to: number): number {
    const times = [...this.returns.values()]
      .flat()
      .filter((time) => time > from && time < to)
      .sort((a, b) => a - b);
    const silences = times.slice(1).map((time, index) => time - (times[index] ?? time));
    return silences.reduce((longest, each) => Math.max(longest, each), 0) - this.#everyMs;
  }

  #send(): void {
    const bytes = Buffer.alloc(160, FILLER);
    bytes.writeUInt32BE(this.sentAt.length);
    this.sentAt.push(performance.now());
    this.#socket.send(bytes);
  }
}

/** How many came more than once. */
export function doubled(times: ReadonlyMap<number, readonly number[]>): number {
  return [...times.values()].filter(({ length }) => length > 1).length;
}

function note(times: Map<number, number[]>, bytes: Buffer): void {
  if (bytes.length < NUMBER_BYTES) return;
  const number = bytes.readUInt32BE();
  const known = times.get(number);
  if (known) known.push(performance.now());
  else times.set(number, [performance.now()]);
}
