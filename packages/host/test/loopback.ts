import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';

/** Connections on loopback whose both ends are held here, and closed with the test. */
export class Loopback {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #last: Promise<unknown> = Promise.resolve();

  static async open(test: Test): Promise<Loopback> {
    const loopback = new Loopback();
    loopback.#server.listen(0, '127.0.0.1');
    await once(loopback.#server, 'listening');
    test.teardown(() => loopback.close());
    return loopback;
  }

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  }

  /** Sockets that are not closed yet. */
  get open(): number {
    return this.#sockets.size;
  }

  /** One after another, so that each end finds its own. */
  pair(): Promise<readonly [Socket, Socket]> {
    const pair = this.#last.then(() => this.#pair());
    this.#last = pair;
    return pair;
  }

  async #pair(): Promise<readonly [Socket, Socket]> {
    const accepted = once(this.#server, 'connection') as Promise<[Socket]>;
    const { port } = this.#server.address() as AddressInfo;
    const near = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
    const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
    }
    return [near, far];
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
