import { connect as connectTcp } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { ByteClient } from './byte-client.ts';
import type { Pki } from './pki.ts';
import { SERVER_NAME } from './settings.ts';

/** A TLS client that keeps its tickets too. */
export class TlsClient extends ByteClient<TLSSocket> {
  readonly #sessions: Buffer[] = [];

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
    super(connect({ socket, ca: pki.ca, servername: SERVER_NAME, ...options }));
    this.socket.on('session', (session: Buffer) => {
      this.#sessions.push(session);
      this.changed();
    });
  }

  get resumed(): boolean {
    return this.socket.isSessionReused();
  }

  get sessionsNow(): readonly Buffer[] {
    return this.#sessions;
  }

  /** The tickets, once there are that many. */
  async sessions(count: number): Promise<readonly Buffer[]> {
    await this.until(() => this.#sessions.length >= count);
    return this.#sessions;
  }
}
