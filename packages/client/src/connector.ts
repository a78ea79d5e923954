import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import type { Endpoint, Host } from '@argyle/host';
import { ClientError } from './errors.ts';
import { certificateFailure, failureOf } from './failure.ts';
import type { Measurement } from './node-choice.ts';
import { NodeConnection } from './node-connection.ts';
import type { ClientOptions } from './options.ts';
import type { Passage } from './session-gate.ts';
import type { SessionLease } from './session-pool.ts';
import { SocksDialogue } from './socks-dialogue.ts';

/** Says to a node that a login may stand under the TLS session. */
const ALPN = 'argyle/1';
/** A node whose host is gone is noticed under a silent tunnel, in minutes, by the kernel. */
const KEEP_ALIVE_MS = 15_000;

export interface ConnectorHandlers {
  handshake(handshake: { node: number; resumed: boolean; protocol: string }): void;
  login(by: 'password' | 'session' | 'none'): void;
  /** A session that the cluster gave on a verified connection. */
  session(session: Uint8Array): void;
  /** A node resumed a session of ours. */
  resumed(): void;
  /** A node did not resume it. */
  refused(lease: SessionLease, node: number): void;
  /** Nobody has seen it. */
  unsent(lease: SessionLease): void;
  /** One connection less to that node. */
  closed(node: number): void;
}

export interface Target {
  readonly node: number;
  /** Its host is an address, so that no name is looked up here. */
  readonly endpoint: Endpoint;
}

/** Makes connections to nodes: TCP, TLS with the cluster's name, login. One attempt a call. */
export class Connector {
  readonly #host: Host;
  readonly #options: ClientOptions;
  readonly #secureContext: SecureContext;
  readonly #handlers: ConnectorHandlers;
  /** With the node that each leads to. */
  readonly #sockets = new Map<Socket, number>();
  /** By node: ends when nobody is waiting for a verdict on the password there. */
  readonly #turns = new Map<number, Promise<void>>();
  /** By node: the last refusal of the password. */
  readonly #refused = new Map<number, { readonly failure: ClientError; readonly at: number }>();
  #begun = 0;
  #underWay = 0;

  constructor(
    host: Host,
    options: ClientOptions,
    secureContext: SecureContext,
    handlers: ConnectorHandlers,
  ) {
    this.#host = host;
    this.#options = options;
    this.#secureContext = secureContext;
    this.#handlers = handlers;
  }

  /** A connection that takes a request. Rejects with a ClientError, within `connectMs`. */
  async connect(
    { node, endpoint }: Target,
    { lease, accepted }: Pick<Passage, 'lease' | 'accepted'>,
    signal: AbortSignal,
  ): Promise<NodeConnection> {
    signal.throwIfAborted();
    const socket = this.#dial(node, endpoint);
    let stream = socket;
    const { connectMs } = this.#options.limits;
    const cancel = this.#host.after(connectMs, () => {
      stream.destroy(new ClientError('timeout', `no answer within ${connectMs} ms`));
    });
    const abort = () => stream.destroy(failureOf(signal.reason));
    signal.addEventListener('abort', abort);
    this.#underWay += 1;
    try {
      const startedAt = this.#host.now();
      await once(socket, 'connect');
      accepted();
      const tls = this.#secure(socket, lease);
      stream = tls;
      const handshake = await this.#handshake(tls, lease, node);
      const dialogue = new SocksDialogue(this.#options.user);
      const connection = new NodeConnection(
        this.#host,
        { tls, reset: () => reset(tls, socket) },
        dialogue,
        {
          node,
          handshake,
          securedAt: this.#host.now(),
        },
      );
      await this.#login(connection, tls.isSessionReused(), startedAt);
      return connection;
    } catch (error) {
      if (lease && stream === socket) this.#handlers.unsent(lease);
      stream.destroy();
      throw failureOf(error);
    } finally {
      this.#underWay -= 1;
      cancel();
      signal.removeEventListener('abort', abort);
    }
  }

  /** Cuts all that is left, and ends when every socket is closed. */
  async stop(): Promise<void> {
    const sockets = [...this.#sockets.keys()];
    const closed = sockets.map((socket) => once(socket, 'close'));
    for (const socket of sockets) socket.destroy();
    await Promise.allSettled(closed);
  }

  /** Also those that are being made. */
  connections(node: number): number {
    let count = 0;
    for (const other of this.#sockets.values()) if (other === node) count += 1;
    return count;
  }

  /** It will not be dialled again. */
  forget(node: number): void {
    this.#turns.delete(node);
    this.#refused.delete(node);
  }

  #dial(node: number, endpoint: Endpoint): Socket {
    const socket = connectTcp({
      host: endpoint.address,
      port: endpoint.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    this.#sockets.set(socket, node);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#handlers.closed(node);
    });
    return socket;
  }

  #secure(socket: Socket, lease: SessionLease | undefined): TLSSocket {
    const tls = connectTls({
      socket,
      secureContext: this.#secureContext,
      servername: this.#options.serverName,
      ALPNProtocols: [ALPN],
      ...(lease && { session: Buffer.from(lease.session) }),
    });
    tls.on('error', () => undefined);
    tls.on('session', (session: Buffer) => this.#handlers.session(session));
    return tls;
  }

  /** The time that it took. */
  async #handshake(
    tls: TLSSocket,
    lease: SessionLease | undefined,
    node: number,
  ): Promise<Measurement> {
    this.#begun += 1;
    const begun = this.#begun;
    const undisturbed = this.#underWay === 1;
    const startedAt = this.#host.now();
    try {
      await once(tls, 'secureConnect');
    } catch (error) {
      const { serverName } = this.#options;
      throw tls.authorizationError ? certificateFailure(error, serverName) : failureOf(error);
    }
    const resumed = tls.isSessionReused();
    if (lease && resumed) this.#handlers.resumed();
    else if (lease) this.#handlers.refused(lease, node);
    this.#handlers.handshake({ node, resumed, protocol: tls.getProtocol() ?? '' });
    if (tls.alpnProtocol !== ALPN) {
      throw new ClientError('protocol', `this is no Argyle node: it does not speak ${ALPN}`);
    }
    const sample = resumed && undisturbed && begun === this.#begun;
    return { delayMs: this.#host.now() - startedAt, sample };
  }

  async #login(connection: NodeConnection, resumed: boolean, startedAt: number): Promise<void> {
    const { node } = connection.facts;
    const by = await connection.login((check) => this.#inTurn(node, startedAt, check));
    this.#handlers.login(by === 'none' && resumed && this.#identified ? 'session' : by);
  }

  get #identified(): boolean {
    return this.#options.user !== undefined || this.#options.certificate !== undefined;
  }

  /**
   * One password check at a time at a node, and none that a refusal made pointless meanwhile: a
   * wrong password in many connections at once is still checked once.
   */
  async #inTurn<Result>(
    node: number,
    startedAt: number,
    check: () => Promise<Result>,
  ): Promise<Result> {
    const before = this.#turns.get(node);
    const turn = Promise.withResolvers<void>();
    this.#turns.set(node, turn.promise);
    await before;
    try {
      const refused = this.#refused.get(node);
      if (refused && refused.at >= startedAt) throw refused.failure;
      return await check();
    } catch (error) {
      const failure = failureOf(error);
      if (failure.code === 'authentication') {
        this.#refused.set(node, { failure, at: this.#host.now() });
      }
      throw failure;
    } finally {
      turn.resolve();
    }
  }
}

/** While a shutdown is under way libuv refuses to reset, and the socket would stay open. */
function reset(tls: TLSSocket, socket: Socket): void {
  if (!tls.destroyed && !tls.writableEnded) socket.resetAndDestroy();
  tls.destroy();
}
