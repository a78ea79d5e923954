import { connect as connectTcp } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Pki } from './pki.ts';
import { SERVER_NAME } from './settings.ts';

/** A TLS client that keeps what it was given. */
export class TlsClient {
  readonly socket: TLSSocket;
  readonly #sessions: Buffer[] = [];
  readonly #changed = new Set<() => void>();
  #received = Buffer.alloc(0);
  #ended = false;

  /** Ends when the server's handshake has ended too, which a TLS 1.3 ticket proves. */
  static async connect(
    pki: Pki,
    port: number,
    options: ConnectionOptions = {},
  ): Promise<TlsClient> {
    const client = new TlsClient(pki, port, options);
    await new Promise<void>((resolve, reject) => {
      client.socket.once('secureConnect', resolve).once('error', reject);
      client.socket.once('close', () => reject(new Error('closed')));
    });
    if (client.socket.getProtocol() === 'TLSv1.3') await client.sessions(1);
    return client;
  }

  constructor(pki: Pki, port: number, options: ConnectionOptions) {
    const socket = connectTcp({ host: '127.0.0.1', port });
    this.socket = connect({ socket, ca: pki.ca, servername: SERVER_NAME, ...options });
    const changed = () => {
      for (const listener of this.#changed) listener();
    };
    this.socket.on('session', (session: Buffer) => {
      this.#sessions.push(session);
      changed();
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      changed();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.#ended = true;
      changed();
    });
  }

  get resumed(): boolean {
    return this.socket.isSessionReused();
  }

  get received(): Buffer {
    return this.#received;
  }

  get sessionsNow(): readonly Buffer[] {
    return this.#sessions;
  }

  /** The tickets, once there are that many. */
  async sessions(count: number): Promise<readonly Buffer[]> {
    await this.#until(() => this.#sessions.length >= count);
    return this.#sessions;
  }

  /** That many bytes, taken from what came. Rejects when the connection ends before. */
  async read(sizeBytes: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= sizeBytes);
    const bytes = this.#received.subarray(0, sizeBytes);
    this.#received = this.#received.subarray(sizeBytes);
    return bytes;
  }

  /** Up to the next line feed. */
  async line(): Promise<string> {
    await this.#until(() => this.#received.includes(10));
    return String(await this.read(this.#received.indexOf(10) + 1)).trimEnd();
  }

  write(bytes: Uint8Array | readonly number[]): void {
    this.socket.write(Uint8Array.from(bytes));
  }

  async closed(): Promise<void> {
    await this.#until(() => this.#ended).catch(() => undefined);
  }

  end(): void {
    this.socket.destroy();
  }

  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!condition() && !this.#ended) return;
        this.#changed.delete(check);
        if (condition()) resolve();
        else reject(new Error('the connection ended'));
      };
      this.#changed.add(check);
      check();
    });
  }
}
