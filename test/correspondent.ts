import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Endpoint } from '@argyle/host';

/** A target that answers each datagram by its own text, and can speak first. */
export class Correspondent {
  /** In the order in which they came. */
  readonly heard: string[] = [];
  readonly #senders = new Map<string, Endpoint>();
  readonly #socket: Socket;

  static async open(): Promise<Correspondent> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 }).bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Correspondent(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, { address, port }) => {
      this.heard.push(bytes.toString());
      this.#senders.set(`${address}:${port}`, { address, port });
      socket.send(bytes, port, address);
    });
  }

  get endpoint(): Endpoint {
    return { address: '127.0.0.1', port: this.#socket.address().port };
  }

  /** From where it was written to. */
  get senders(): number {
    return this.#senders.size;
  }

  /** To all who have written. */
  call(text: string): void {
    for (const { address, port } of this.#senders.values()) this.#socket.send(text, port, address);
  }

  close(): void {
    this.#socket.close();
  }
}
