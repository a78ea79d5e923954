import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import type { AbusedCluster } from './abused-cluster.ts';
import { Peer } from './peer.ts';
import {
  greeting,
  login,
  METHOD_NONE,
  METHOD_PASSWORD,
  REPLY_BYTES,
  request,
  SUCCEEDED,
} from './socks.ts';

/** For a good client: a password alone takes a tenth of a second, and more where much else runs. */
export const AT_ONCE_MS = 5_000;

const WORDS = Buffer.from('as if nothing had happened');

/** Says back what it hears. */
export class Echo {
  readonly #server: Server;

  static async open(): Promise<Echo> {
    const echo = new Echo();
    await once(echo.#server.listen(0, '127.0.0.1'), 'listening');
    return echo;
  }

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined).pipe(socket);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
  }
}

/** A conventional client: SOCKS5 in TLS, with a password. Answers how long it took. */
export async function visitNode(cluster: AbusedCluster, target: number): Promise<number> {
  const start = performance.now();
  const peer = await Peer.tls(cluster.nodePort, cluster.ca);
  peer.send(greeting(METHOD_PASSWORD));
  await expect(peer, 'method', [5, METHOD_PASSWORD]);
  peer.send(login('demo', cluster.password));
  await expect(peer, 'login', [1, 0]);
  await goOn(peer, target);
  return performance.now() - start;
}

/** An application at the client's port. */
export async function visitClient(cluster: AbusedCluster, target: number): Promise<number> {
  const start = performance.now();
  const peer = await Peer.tcp(cluster.clientPort);
  peer.send(greeting(METHOD_NONE));
  await expect(peer, 'method', [5, METHOD_NONE]);
  await goOn(peer, target);
  return performance.now() - start;
}

async function goOn(peer: Peer, target: number): Promise<void> {
  peer.send(request(target));
  const [, reply] = await peer.read(REPLY_BYTES);
  if (reply !== SUCCEEDED) throw new Error(`a good request got the reply ${reply}`);
  peer.send(WORDS);
  peer.stream.end();
  const echoed = await peer.read(WORDS.length);
  if (!echoed.equals(WORDS)) throw new Error(`said ${WORDS}, heard ${echoed}`);
  await peer.left();
  peer.stream.destroy();
}

async function expect(peer: Peer, what: string, wanted: readonly number[]): Promise<void> {
  const bytes = await peer.read(wanted.length);
  if (!bytes.equals(Buffer.from(wanted))) throw new Error(`${what}: ${bytes.toString('hex')}`);
}
