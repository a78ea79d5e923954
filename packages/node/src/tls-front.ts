import { AsyncLocalStorage } from 'node:async_hooks';
import { constants } from 'node:crypto';
import { createServer, type Server as TcpServer, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  DEFAULT_CIPHERS,
  type Server,
  type TLSSocket,
} from 'node:tls';
import type { Cancel, Endpoint, Log, Pulse } from '@argyle/host';
import { ClientHelloReader } from './client-hello.ts';
import type { ConnectionTable, Seat } from './connection-table.ts';
import { Handshake, type HandshakeContext } from './handshake.ts';
import type { ConnectionRefusal, NodeCounters } from './node-counters.ts';
import { NodeError } from './node-error.ts';
import type { TlsOptions } from './options.ts';
import { PLAIN_FIRST_BYTE, PlainConnection, type PlainSources } from './plain-connection.ts';
import { ALPN_PROTOCOL, type SecureConnection } from './secure-connection.ts';

/** Equal at all nodes, or nothing is shared; by default it is a hash of the process's arguments. */
const SESSION_ID_CONTEXT = 'argyle session 1';

/**
 * One list, so that a client which sends a share of any of them needs no second hello (FACTS 2).
 */
const GROUPS = 'X25519MLKEM768:X25519:prime256v1:secp384r1';

/**
 * The suite that RFC 8446 §9.1 asks of everybody first: processors have instructions for its hash,
 * which a handshake uses a hundred times, and none for SHA-384.
 */
const FIRST_CIPHER = 'TLS_AES_128_GCM_SHA256';
const CIPHERS = [
  FIRST_CIPHER,
  ...DEFAULT_CIPHERS.split(':').filter((name) => name !== FIRST_CIPHER),
];

export interface FrontOptions {
  readonly listen: Endpoint;
  readonly tls: TlsOptions;
  /** From the TCP connection to the end of the TLS handshake. */
  readonly handshakeMs: number;
  readonly lineageMs: number;
}

export interface FrontContext extends HandshakeContext {
  readonly log: Log;
  readonly connections: ConnectionTable;
  readonly counters: NodeCounters;
  readonly pulse: Pulse;
  /** Owns the connection from now on. */
  readonly secured: (connection: SecureConnection) => void;
  /** The same for one without TLS, which only these sources may have. */
  readonly plain: (connection: PlainConnection) => void;
  readonly plainSources: PlainSources;
}

/**
 * Accepts TCP, reads the ClientHello, then hands the socket to the TLS library with the bytes put
 * back (FACTS 2). The library's session events name no connection; the asynchronous context that
 * the hand-over runs in does (FACTS 3).
 */
export class TlsFront {
  readonly #context: FrontContext;
  readonly #options: FrontOptions;
  readonly #tcp: TcpServer;
  readonly #tls: { readonly argyle: Server; readonly other: Server };
  readonly #current = new AsyncLocalStorage<{ raw: Socket; handshake: Handshake }>();
  /** Connections whose handshake goes on, with what cancels their time-out. */
  readonly #unfinished = new Map<Socket, Cancel>();

  /** Throws a NodeError when the certificate, its key or the CA cannot be used. */
  constructor(context: FrontContext, options: FrontOptions) {
    this.#context = context;
    this.#options = options;
    this.#tcp = createServer({ noDelay: true }, (raw) => this.#accept(raw));
    // The library refuses clients that offer only protocols it does not know. Others ignore them.
    this.#tls = { argyle: this.#createTls([ALPN_PROTOCOL]), other: this.#createTls(undefined) };
  }

  /** Ends when connections are accepted; rejects with a NodeError. */
  listen(): Promise<Endpoint> {
    const { address, port } = this.#options.listen;
    return new Promise((resolve, reject) => {
      this.#tcp.once('error', (cause) => {
        reject(new NodeError('listen', `cannot listen on ${address}:${port}`, { cause }));
      });
      this.#tcp.listen({ host: address, port }, () => {
        this.#tcp.removeAllListeners('error');
        this.#tcp.on('error', (error) => {
          this.#context.log.error({ code: codeOf(error) }, 'could not accept a connection');
        });
        const own = this.#tcp.address();
        resolve({ address, port: typeof own === 'object' && own ? own.port : port });
      });
    });
  }

  /** Accepts nobody any more, and ends handshakes that are under way; connections go on. */
  close(): void {
    this.#tcp.close();
    for (const raw of [...this.#unfinished.keys()]) this.#refuse(raw, 'drain');
  }

  #accept(raw: Socket): void {
    const { connections, counters, host, pulse } = this.#context;
    raw.on('error', () => undefined);
    const seat = connections.seat(raw.remoteAddress ?? '');
    if (typeof seat === 'string') {
      counters.refused.add([seat]);
      raw.resetAndDestroy();
      return;
    }
    counters.accepted.add([]);
    pulse.watch(raw);
    const cancelTimer = host.after(this.#options.handshakeMs, () => this.#refuse(raw, 'timeout'));
    this.#unfinished.set(raw, cancelTimer);
    raw.once('close', () => {
      seat.release();
      this.#refuse(raw, 'handshake');
    });
    this.#readHello(raw, seat);
  }

  #readHello(raw: Socket, seat: Seat): void {
    const reader = new ClientHelloReader();
    const left = () => this.#refuse(raw, 'closed');
    const read = (chunk: Buffer) => {
      const plain = raw.bytesRead === chunk.length && chunk[0] === PLAIN_FIRST_BYTE;
      const progress = reader.push(chunk);
      if (progress.kind === 'incomplete') return;
      raw.off('data', read).off('end', left).off('close', left);
      raw.pause();
      if (plain) {
        this.#acceptPlain(raw, seat, chunk);
        return;
      }
      if (progress.kind === 'refused') {
        this.#refuse(raw, progress.reason);
        return;
      }
      raw.unshift(progress.bytes);
      this.#handOver(raw, new Handshake(this.#context, progress.hello, seat.address));
    };
    raw.on('data', read).once('end', left).prependOnceListener('close', left);
  }

  #acceptPlain(raw: Socket, seat: Seat, chunk: Buffer): void {
    const { connections, plain, plainSources } = this.#context;
    if (!plainSources.include(raw.remoteAddress)) return this.#refuse(raw, 'plain');
    this.#settle(raw);
    raw.unshift(chunk);
    const connection = new PlainConnection(raw, seat.address);
    connections.add(connection);
    raw.once('close', () => connections.remove(connection));
    plain(connection);
  }

  #handOver(raw: Socket, handshake: Handshake): void {
    raw.once('close', () => handshake.abandoned());
    const tls = handshake.offersArgyle ? this.#tls.argyle : this.#tls.other;
    this.#current.run({ raw, handshake }, () => tls.emit('connection', raw));
  }

  /** Does nothing to a connection whose handshake has ended. */
  #refuse(raw: Socket, reason: ConnectionRefusal): void {
    if (!this.#settle(raw)) return;
    this.#context.counters.refused.add([reason]);
    raw.destroy();
  }

  #settle(raw: Socket): boolean {
    this.#unfinished.get(raw)?.();
    return this.#unfinished.delete(raw);
  }

  #secured(socket: TLSSocket): void {
    const { connections, logins, pulse, secured } = this.#context;
    const current = this.#current.getStore();
    socket.on('error', () => undefined);
    if (!current) {
      socket.destroy();
      return;
    }
    // Refused meanwhile: its TCP connection takes it along. To destroy both from the library's own
    // call back crashes the runtime.
    if (!this.#settle(current.raw)) return;
    // Not before: whoever leaves in the middle of a handshake has left.
    socket.allowHalfOpen = true;
    pulse.watch(current.raw, socket);
    const connection = current.handshake.secured(socket);
    // Between the answer and the end of the handshake somebody may have revoked it.
    if ([connection.lineage, ...connection.sessionIds].some((key) => logins.isRevoked(key))) {
      connection.cut();
      return;
    }
    connections.add(connection);
    socket.once('close', () => connections.remove(connection));
    secured(connection);
  }

  #createTls(protocols: string[] | undefined): Server {
    const { tls } = this.#options;
    const server = createTlsOrExplain({
      cert: tls.certificate,
      key: tls.key,
      ca: tls.ca,
      ...(tls.crls.length > 0 ? { crl: [...tls.crls] } : {}),
      ...(protocols ? { ALPNProtocols: protocols } : {}),
      requestCert: tls.clientCertificate !== 'none',
      rejectUnauthorized: tls.clientCertificate === 'required',
      minVersion: tls.minVersion,
      ecdhCurve: GROUPS,
      ciphers: CIPHERS.join(':'),
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
      sessionIdContext: SESSION_ID_CONTEXT,
      sessionTimeout: Math.ceil(this.#options.lineageMs / 1_000),
      handshakeTimeout: this.#options.handshakeMs,
    });
    server.on('resumeSession', (_id, answer) => {
      const handshake = this.#current.getStore()?.handshake;
      if (!handshake) return answer(null, undefined);
      return handshake.answer().then((der) => answer(null, der && Buffer.from(der)), answer);
    });
    server.on('newSession', (id, der, done) => {
      const handshake = this.#current.getStore()?.handshake;
      if (handshake) handshake.newSession(id, der, done);
      else done();
    });
    server.on('secureConnection', (socket) => this.#secured(socket));
    // Whoever could not shake hands is counted when the socket closes.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }
}

function createTlsOrExplain(options: Parameters<typeof createTlsServer>[0]): Server {
  try {
    return createTlsServer(options ?? {});
  } catch (cause) {
    throw new NodeError('bad-tls', 'tls: certificate, key, ca or crls cannot be used', { cause });
  }
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
