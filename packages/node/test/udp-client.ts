import { connect } from 'node:net';
import type { Endpoint } from '@argyle/host';
import type { Test } from 'tap';
import { ByteClient } from './byte-client.ts';
import type { Pki } from './pki.ts';
import { CONVENTIONAL, NONE, SocksClient } from './socks-client.ts';
import { TlsClient } from './tls-client.ts';
import { read, to, UdpPeer } from './udp-target.ts';

export const UDP = 3;

export interface From {
  /** The address that connection and datagrams come from. */
  readonly address?: string;
  /** Where the node is. */
  readonly node?: string;
}

/** A conventional SOCKS5 client with one association (RFC 1928 §7). */
export class UdpClient {
  readonly peer: UdpPeer;
  readonly connection: ByteClient;
  readonly socks: SocksClient<ByteClient>;
  /** Where it was told to send to; undefined when it was refused. */
  relay: Endpoint | undefined;

  constructor(peer: UdpPeer, connection: ByteClient) {
    this.peer = peer;
    this.connection = connection;
    this.socks = new SocksClient(connection);
  }

  /** It is greeted, and has not asked yet. */
  static async plain(t: Test, port: number, { address, node }: From = {}): Promise<UdpClient> {
    const host = node ?? '127.0.0.1';
    const localAddress = address ?? host;
    const socket = connect({ host, port, localAddress, allowHalfOpen: true });
    return UdpClient.#greet(t, new ByteClient(socket), localAddress);
  }

  static async secured(t: Test, port: number, pki: Pki): Promise<UdpClient> {
    const tls = await TlsClient.connect(pki, port, CONVENTIONAL);
    return UdpClient.#greet(t, tls, '127.0.0.1');
  }

  static async #greet(t: Test, connection: ByteClient, address: string): Promise<UdpClient> {
    t.teardown(() => connection.end());
    const client = new UdpClient(await UdpPeer.open(t, address), connection);
    await client.socks.greet(NONE);
    return client;
  }

  /** What its datagrams have brought, as `SENDER:PORT TEXT`. */
  get got(): readonly string[] {
    return this.peer.heard.map(({ text }) => read(Buffer.from(text, 'latin1')));
  }

  /** The reply's code. `port`: where it says that it sends from. */
  async ask(port = 0): Promise<number> {
    const any = this.peer.endpoint.address.includes(':') ? '::' : '0.0.0.0';
    const reply = await this.socks.request(UDP, any, port);
    if (reply.code !== 0) return reply.code;
    const address =
      reply.address.length === 4 ? reply.address.join('.') : this.peer.endpoint.address;
    this.relay = { address, port: reply.port };
    return 0;
  }

  send(target: Endpoint, text: string, fragment = 0): void {
    this.sendBytes(to(target, text, fragment));
  }

  sendBytes(bytes: Uint8Array): void {
    if (!this.relay) throw new Error('it was told nowhere to send to');
    this.peer.send(bytes, this.relay);
  }
}
