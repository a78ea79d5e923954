import { DatagramSocket, type Endpoint } from '@argyle/host';
import { decodeSocksDatagram, encodeSocksDatagram } from '@argyle/secure-udp';
import type { Test } from 'tap';
import { until } from './until.ts';

/** Somebody with a UDP socket, who keeps what comes; closed with the test. */
export class UdpPeer {
  readonly endpoint: Endpoint;
  readonly heard: { readonly text: string; readonly from: Endpoint }[] = [];
  readonly #socket: DatagramSocket;

  static async open(t: Test, address = '127.0.0.1', port = 0): Promise<UdpPeer> {
    let peer: UdpPeer | undefined;
    const socket = await DatagramSocket.open(
      { address, port },
      {
        datagram: (bytes, from) => {
          const { address, port } = from;
          peer?.heard.push({ text: bytes.toString('latin1'), from: { address, port } });
        },
      },
    );
    peer = new UdpPeer(socket);
    t.teardown(() => socket.close());
    return peer;
  }

  private constructor(socket: DatagramSocket) {
    this.#socket = socket;
    this.endpoint = socket.endpoint;
  }

  get texts(): readonly string[] {
    return this.heard.map(({ text }) => text);
  }

  send(bytes: string | Uint8Array, to: Endpoint): void {
    this.#socket.send(Buffer.from(bytes), to);
  }

  /** To whoever was heard last. */
  answer(text: string): void {
    const last = this.heard.at(-1);
    if (!last) throw new Error('nobody was heard');
    this.send(text, last.from);
  }

  /** So many have come in all. */
  async hear(count: number): Promise<readonly string[]> {
    await until(() => this.heard.length >= count);
    return this.texts;
  }
}

export function to({ address, port }: Endpoint, data: string, fragment = 0): Buffer {
  const bytes = encodeSocksDatagram(address, port, Buffer.from(data, 'latin1'));
  bytes[2] = fragment;
  return bytes;
}

/** What a client got, as `SENDER:PORT TEXT`. */
export function read(datagram: Buffer): string {
  const read = decodeSocksDatagram(datagram);
  return typeof read === 'string' ? read : `${read.host}:${read.port} ${read.data}`;
}
