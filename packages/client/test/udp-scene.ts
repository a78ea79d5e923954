import type { Test } from 'tap';
import { DatagramSocket, type Endpoint } from '@argyle/host';
import type { FakeNode } from './fake-node.ts';
import { application, take, until } from './scene.ts';

const HOME = { address: '127.0.0.1', port: 0 };
/** Of a target at 192.0.2.7:53 (RFC 1928 §7). */
export const HEADER = Buffer.from([0, 0, 0, 1, 192, 0, 2, 7, 0, 53]);

/** A socket of an application, and all that it has received, without headers of IPv4. */
export class Peer {
  readonly received: string[] = [];
  readonly endpoint: Endpoint;
  readonly #socket: DatagramSocket;

  static async open(t: Test, strip = 0, address = '127.0.0.1'): Promise<Peer> {
    const received: string[] = [];
    const socket = await DatagramSocket.open(
      { ...HOME, address },
      { datagram: (bytes) => void received.push(bytes.subarray(strip).toString()) },
    );
    t.teardown(() => socket.close());
    return new Peer(socket, received);
  }

  private constructor(socket: DatagramSocket, received: string[]) {
    this.#socket = socket;
    this.endpoint = socket.endpoint;
    this.received = received;
  }

  send(words: string | Uint8Array, to: Endpoint): void {
    this.#socket.send(Buffer.from(words), to);
  }

  /** As an application of SOCKS5. */
  sendWithHeader(words: string, to: Endpoint): void {
    this.send(Buffer.concat([HEADER, Buffer.from(words)]), to);
  }

  async hears(...words: readonly string[]): Promise<void> {
    await until(() => words.every((each) => this.received.includes(each)));
  }
}

/** An application's UDP ASSOCIATE: the reply's code, and the port that is for it. */
export async function associate(t: Test, port: number, said = 0) {
  const socket = await application(t, port);
  socket.write(Buffer.from([5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, said >> 8, said & 0xff]));
  await take(socket, 2);
  const reply = await take(socket, 10);
  const at = { address: '127.0.0.1', port: reply?.readUInt16BE(8) ?? 0 };
  return { socket, code: reply?.[1], at };
}

/** The node that the payload came to last. */
export function servedBy(nodes: readonly FakeNode[], words: string): FakeNode | undefined {
  return nodes.find(({ udp }) => udp.overUdp.includes(words));
}
