import { constants } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import type { LinkKey, PortHandlers } from './host.ts';
import type { Endpoint, LinkEnd, StrangerEnd } from './machine.ts';

/** RFC 8446 §4.2.11: an external PSK names its hash; this suite's is SHA-256. */
const CIPHER_SUITE = 'TLS_AES_128_GCM_SHA256';
const HANDSHAKE_TIMEOUT_MS = 3_000;
const ACCEPTED_MAX = 1_024;
/** Connections that shake hands. One more ends the oldest: members are done in milliseconds. */
const HANDSHAKES_MAX = 256;
/** A link is silent for hours: firewalls on the way, and hosts that vanished, show sooner so. */
const KEEP_ALIVE_MS = 15_000;
/** What was written to a link that is then closed has so long to leave. */
const LINGER_MS = 3_000;

/** A connection that was accepted, from its first moment to its last. */
interface Accepted {
  readonly socket: Socket;
  readonly from: Endpoint;
  secure: boolean;
  /** Why it is none, if it ends before it is secure. */
  reason: StrangerEnd;
}

/**
 * Links over TCP: TLS 1.3 with an external PSK and (EC)DHE, so only who has the cluster key gets
 * in, and a key that leaks later opens no recording.
 */
export class SystemLinks {
  readonly #linkKeys: () => readonly LinkKey[];
  readonly #handlers: PortHandlers;
  readonly #server: Server;
  readonly #sockets = new Map<number, TLSSocket>();
  /** By remote endpoint, the oldest first; those among them that shake hands or linger. */
  readonly #connections = new Map<string, Accepted>();
  #shakingHands = 0;
  #accepted = 0;

  constructor(
    options: { own: Endpoint; linkKeys: () => readonly LinkKey[] },
    handlers: PortHandlers,
    listening: (port: number | Error) => void,
  ) {
    this.#linkKeys = options.linkKeys;
    this.#handlers = handlers;
    this.#server = createServer({
      ...this.#tls(),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      pskCallback: (_socket, identity) =>
        this.#linkKeys().find((known) => known.identity === identity)?.key ?? null,
    });
    this.#server.maxConnections = ACCEPTED_MAX;
    this.#server.on('error', listening);
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      const accepted = this.#connections.get(remoteOf(socket));
      if (accepted && error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') accepted.reason = 'timeout';
      // Node tells of a handshake that took too long, and leaves the connection open.
      socket.destroy();
    });
    this.#server.on('connection', (socket: Socket) => this.#meet(socket));
    this.#server.on('drop', (drop) => {
      const from = { address: drop?.remoteAddress ?? '', port: drop?.remotePort ?? 0 };
      this.#handlers.link({ kind: 'stranger', from, reason: 'crowded' });
    });
    this.#server.on('secureConnection', (socket) => this.#accept(socket));
    this.#server.listen(options.own.port, options.own.address, () => {
      this.#server.off('error', listening);
      this.#server.on('error', (error) => this.#handlers.failed(error));
      listening((this.#server.address() as AddressInfo).port);
    });
  }

  open(link: number, to: Endpoint): void {
    const socket = connect({
      ...this.#tls(),
      host: to.address,
      port: to.port,
      checkServerIdentity: () => undefined,
      pskCallback: () => this.#opening(),
    });
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => socket.destroy(new Error('handshake timed out')));
    socket.once('secureConnect', () => {
      socket.setTimeout(0);
      this.#handlers.link({ kind: 'opened', link });
    });
    this.#attach(link, socket);
  }

  write(link: number, bytes: Uint8Array): void {
    const socket = this.#sockets.get(link);
    if (!socket || socket.destroyed) return;
    socket.write(bytes, () => {
      if (socket.writableLength === 0) this.#handlers.link({ kind: 'drained', link });
    });
  }

  close(link: number): void {
    const socket = this.#sockets.get(link);
    this.#sockets.delete(link);
    socket?.setTimeout(LINGER_MS, () => socket.destroy());
    socket?.destroySoon();
  }

  stop(stopped: () => void): void {
    this.#server.close(() => stopped());
    for (const socket of this.#sockets.values()) socket.destroy();
    for (const { socket } of this.#connections.values()) socket.destroy();
    this.#sockets.clear();
  }

  #tls() {
    return {
      minVersion: 'TLSv1.3',
      ciphers: CIPHER_SUITE,
      secureOptions: constants.SSL_OP_NO_TICKET,
    } as const;
  }

  #opening() {
    const [first] = this.#linkKeys();
    return first ? { psk: first.key, identity: first.identity } : null;
  }

  #meet(socket: Socket): void {
    const key = remoteOf(socket);
    const from = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    const accepted: Accepted = { socket, from, secure: false, reason: 'handshake' };
    if (this.#shakingHands >= HANDSHAKES_MAX) this.#endOldestHandshake();
    this.#connections.set(key, accepted);
    this.#shakingHands += 1;
    socket.once('close', () => {
      this.#connections.delete(key);
      if (accepted.secure) return;
      if (accepted.reason !== 'crowded') this.#shakingHands -= 1;
      this.#handlers.link({ kind: 'stranger', from, reason: accepted.reason });
    });
  }

  #endOldestHandshake(): void {
    for (const accepted of this.#connections.values()) {
      if (accepted.secure || accepted.reason === 'crowded') continue;
      accepted.reason = 'crowded';
      this.#shakingHands -= 1;
      accepted.socket.destroy();
      return;
    }
  }

  #accept(socket: TLSSocket): void {
    const met = this.#connections.get(remoteOf(socket));
    if (met && !met.secure && met.reason !== 'crowded') this.#shakingHands -= 1;
    if (met) met.secure = true;
    this.#accepted += 1;
    const link = -this.#accepted;
    const from = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    this.#attach(link, socket);
    this.#handlers.link({ kind: 'accepted', link, from });
  }

  #attach(link: number, socket: TLSSocket): void {
    this.#sockets.set(link, socket);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    let reason: LinkEnd = 'ended';
    socket.on('data', (bytes: Buffer) => {
      if (this.#sockets.has(link)) this.#handlers.link({ kind: 'bytes', link, bytes });
    });
    socket.on('error', (error) => {
      reason = endOf(error);
    });
    socket.on('close', () => {
      if (this.#sockets.delete(link)) this.#handlers.link({ kind: 'closed', link, reason });
    });
  }
}

function remoteOf(socket: Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

function endOf(error: NodeJS.ErrnoException): LinkEnd {
  if (error.code === 'ECONNREFUSED') return 'refused';
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return 'reset';
  if (error.code?.startsWith('ERR_SSL') === true) return 'authentication';
  return 'unreachable';
}
