import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Peer } from './peer.ts';

/** Where tunnels lead: it hands out each connection, in the order in which they came. */
export class Destination {
  readonly #server: Server;
  readonly #arrived: Peer[] = [];
  readonly #waiting: ((peer: Peer) => void)[] = [];

  static async open(): Promise<Destination> {
    const destination = new Destination();
    await once(destination.#server.listen(0, '127.0.0.1'), 'listening');
    return destination;
  }

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) => {
      const peer = new Peer(socket, socket);
      const waiting = this.#waiting.shift();
      if (waiting) waiting(peer);
      else this.#arrived.push(peer);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  next(): Promise<Peer> {
    const peer = this.#arrived.shift();
    return peer ? Promise.resolve(peer) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#server.close();
  }
}
