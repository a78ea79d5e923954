import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';

/** How a tester leaves. `close-notify` is TLS's own end; `fin` is TCP's without it. */
export const ENDINGS = ['close-notify', 'fin', 'reset', 'silence'] as const;
export type Ending = (typeof ENDINGS)[number];

const BOUND_MS = 20_000;

/** One connection of a tester: what it got, and whether the other side has ended it. */
export class Peer {
  readonly raw: Socket;
  /** TLS over it, or the same. */
  readonly stream: Socket;
  #received: Buffer[] = [];
  #sizeBytes = 0;
  #ended = false;
  #failure: Error | undefined;
  readonly #waiting = new Set<() => void>();

  static async tcp(port: number): Promise<Peer> {
    const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const peer = new Peer(socket, socket);
    await once(socket, 'connect');
    return peer;
  }

  /** Ends when the handshake has ended at the node too, which a ticket of TLS 1.3 proves. */
  static async tls(port: number, ca: string, options: ConnectionOptions = {}): Promise<Peer> {
    const raw = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    await once(raw, 'connect');
    const stream: TLSSocket = connectTls({
      socket: raw,
      ca,
      servername: 'argyle.cluster',
      ...options,
    });
    stream.allowHalfOpen = true;
    const peer = new Peer(raw, stream);
    const ticket = once(stream, 'session');
    await once(stream, 'secureConnect');
    if (stream.getProtocol() === 'TLSv1.3') await ticket;
    return peer;
  }

  constructor(raw: Socket, stream: Socket) {
    this.raw = raw;
    this.stream = stream;
    raw.on('error', () => undefined);
    stream.on('error', (error) => this.#change(() => (this.#failure = error)));
    stream.on('data', (chunk: Buffer) =>
      this.#change(() => {
        this.#sizeBytes += chunk.length;
        this.#received.push(chunk);
      }),
    );
    stream.on('end', () => this.#change(() => (this.#ended = true)));
    stream.on('drain', () => this.#change(() => undefined));
    stream.on('close', () => this.#change(() => undefined));
  }

  get receivedBytes(): number {
    return this.#sizeBytes;
  }

  /** The other side ended its direction, cleanly as far as the runtime tells. */
  get ended(): boolean {
    return this.#ended;
  }

  /** It failed, or is closed. */
  get cut(): boolean {
    return this.#failure !== undefined || this.stream.destroyed;
  }

  /** Why it broke; undefined for a clean end. */
  get failure(): string | undefined {
    const failure = this.#failure;
    return failure && 'code' in failure ? String(failure.code) : failure?.message;
  }

  /** All that came, and is forgotten now. */
  take(): Buffer {
    const bytes = Buffer.concat(this.#received);
    this.#received = [];
    return bytes;
  }

  /** That many bytes at the least; what is there is taken. */
  async read(sizeBytes: number): Promise<Buffer> {
    const missing = () => sizeBytes - this.#received.reduce((sum, { length }) => sum + length, 0);
    await this.until(() => missing() <= 0 || this.#over, `${sizeBytes} bytes`);
    if (missing() > 0) throw new Error(`ended ${missing()} bytes early (${this.failure})`);
    return this.take();
  }

  /** Bytes, or the end. */
  async heard(): Promise<void> {
    await this.until(() => this.#sizeBytes > 0 || this.#over, 'an answer');
  }

  /** The other side has ended or broken it. */
  async left(): Promise<void> {
    await this.until(() => this.#over, 'the end');
  }

  /** What is written goes out again, or never will. */
  async drained(): Promise<void> {
    const drained = () => !this.stream.writableNeedDrain || this.stream.destroyed;
    await this.until(drained, 'room to send');
  }

  /** As if nothing had come yet. */
  startOver(): void {
    this.take();
    this.#sizeBytes = 0;
  }

  /** In pieces, each with a system call of its own. */
  send(bytes: Uint8Array, pieceBytes = Infinity): void {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      this.stream.write(bytes.subarray(at, at + pieceBytes));
    }
  }

  /** `silence` says nothing more and waits until the other side gives up. */
  async leave(ending: Ending): Promise<void> {
    if (ending === 'close-notify') this.stream.end();
    else if (ending === 'fin') this.raw.end();
    else if (ending === 'reset') {
      this.reset();
      return;
    }
    await this.left();
    this.stream.destroy();
  }

  /** A reset on the wire, whatever was still to be sent or read. */
  reset(): void {
    // Destroying TLS before its socket has closed crashes the runtime.
    this.raw.once('close', () => this.stream.destroy());
    this.raw.resetAndDestroy();
  }

  /** Rejects when it does not hold in time. */
  until(condition: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve();
      };
      const late = () => {
        this.#waiting.delete(check);
        reject(new Error(`not in ${BOUND_MS} ms: ${what}`));
      };
      const timer = setTimeout(late, BOUND_MS);
      this.#waiting.add(check);
      check();
    });
  }

  get #over(): boolean {
    return this.#ended || this.cut;
  }

  #change(change: () => void): void {
    change();
    for (const check of [...this.#waiting]) check();
  }
}
