import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Carrier, type CarriedTunnel } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import type { Authority } from './certificates.ts';
import { FakeUdp, type FakeRecords } from './fake-udp.ts';

/** What the nodes of a cluster share: session keys, and whether the user's login is known. */
export interface FakeCluster {
  /** 48 bytes; nodes with the same ones resume each other's sessions. */
  readonly ticketKeys: Buffer;
  loggedIn: boolean;
  readonly records: FakeRecords;
}

export interface FakeNodeOptions {
  /** 127.0.0.1 unless told otherwise. */
  readonly address?: string;
  readonly port: number;
  readonly authority: Authority;
  readonly cluster: FakeCluster;
  readonly serverName?: string;
  /** PEM: who must have signed the client's certificate, if it needs one. */
  readonly clientCa?: string;
  /** Without one, nobody is asked for a password. */
  readonly user?: { readonly name: string; readonly password: string };
}

/**
 * `connect`: dials the destination. `hold`: never answers. `hang-up`: the destination ends at once.
 * A number: answers with that failure. `bind`: answers a success and leaves the rest to `meet`.
 */
export type Behaviour = 'connect' | 'hold' | 'hang-up' | 'bind' | number;

/**
 * A node reduced to what a client sees of it: TLS with shared sessions, one greeting, a password
 * only on a session that is not known, CONNECT.
 */
export class FakeNode {
  behaviour: Behaviour = 'connect';
  /** Added to every reply of a success, as if the destination had spoken at once. */
  early = Buffer.alloc(0);
  fullHandshakes = 0;
  resumedHandshakes = 0;
  passwordChecks = 0;
  /** Of clients' hellos. */
  readonly serverNames: (string | false | null)[] = [];
  /** Of clients' certificates. */
  readonly subjects: string[] = [];
  /** Requests as they came, and the client's port of the connection each came by. */
  readonly requests: Buffer[] = [];
  readonly requestedBy: number[] = [];
  /** Tunnels of BIND that wait for their peers. */
  readonly binds: CarriedTunnel[] = [];
  readonly options: FakeNodeOptions;
  readonly sockets = new Set<TLSSocket>();
  readonly udp: FakeUdp;
  readonly #targets = new Set<Socket>();
  readonly #raw = new Set<Socket>();
  #server: Server;

  constructor(options: FakeNodeOptions) {
    this.options = options;
    const { address = '127.0.0.1', port, cluster } = options;
    this.udp = new FakeUdp(cluster.records, { address, port });
    this.#server = this.#create();
  }

  async start(): Promise<void> {
    this.#server = this.#create();
    this.#server.listen(this.options.port, this.options.address ?? '127.0.0.1');
    await once(this.#server, 'listening');
    await this.udp.start();
  }

  /** As the kernel does for a process that was killed: its port is shut and its connections end. */
  async kill(how: 'end' | 'reset' = 'end'): Promise<void> {
    this.udp.kill();
    await this.killTcp(how);
  }

  /** The half that serves TLS only. */
  async killTcp(how: 'end' | 'reset' = 'end'): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of [...this.#raw, ...this.#targets]) {
      if (how === 'end') socket.destroy();
      else socket.resetAndDestroy();
    }
    await closed;
  }

  /** As a machine that lost its network: nothing ends, and nothing answers. */
  freeze(): void {
    this.behaviour = 'hold';
    this.udp.silent = true;
    this.#server.removeAllListeners('connection');
    this.#server.on('connection', this.#track);
  }

  /** Every session from before is unknown now. */
  forgetSessions(): void {
    this.#server.setTicketKeys(randomBytes(48));
  }

  /** Sockets that clients hold open here. */
  get open(): number {
    return this.#raw.size;
  }

  #create(): Server {
    const { authority, serverName = 'argyle.cluster', cluster, clientCa } = this.options;
    const { certificate, key } = authority.issue(serverName);
    const server = createServer({
      cert: certificate,
      key,
      ticketKeys: cluster.ticketKeys,
      sessionIdContext: 'argyle',
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['argyle/1'],
      ...(clientCa && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
      allowHalfOpen: true,
    });
    server.on('connection', this.#track);
    server.on('tlsClientError', () => undefined);
    server.on('secureConnection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => this.sockets.delete(socket));
      this.#serve(socket).catch(() => socket.destroy());
    });
    return server;
  }

  readonly #track = (raw: Socket): void => {
    this.#raw.add(raw);
    raw.on('error', () => undefined);
    raw.once('close', () => this.#raw.delete(raw));
  };

  async #serve(socket: TLSSocket): Promise<void> {
    const { remotePort = 0, servername } = socket;
    this.serverNames.push(servername);
    const known = socket.isSessionReused();
    if (known) this.resumedHandshakes += 1;
    else this.fullHandshakes += 1;
    const subject = socket.getPeerCertificate().subject?.CN;
    if (typeof subject === 'string') this.subjects.push(subject);
    const read = reader(socket);
    const [, count] = await read(2);
    const methods = await read(count ?? 0);
    const { user, cluster } = this.options;
    if (!user || (known && cluster.loggedIn)) socket.write(Buffer.from([5, 0]));
    else if (!methods.includes(2)) {
      socket.end(Buffer.from([5, 0xff]));
      return;
    } else {
      socket.write(Buffer.from([5, 2]));
      const [, nameBytes] = await read(2);
      const name = await read(nameBytes ?? 0);
      const [passwordBytes] = await read(1);
      const password = await read(passwordBytes ?? 0);
      this.passwordChecks += 1;
      const right =
        name.equals(Buffer.from(user.name)) && password.equals(Buffer.from(user.password));
      socket.write(Buffer.from([1, right ? 0 : 1]));
      if (!right) {
        socket.end();
        return;
      }
      cluster.loggedIn = true;
    }
    new Carrier(new SystemHost(), socket, {
      requested: (tunnel, request) => {
        this.requests.push(request);
        this.requestedBy.push(remotePort);
        const exported = () => {
          return socket.exportKeyingMaterial(32, 'EXPORTER argyle udp adopt 1', Buffer.alloc(0));
        };
        if (this.behaviour === 'hold' || !this.udp.answer(tunnel, request, exported)) {
          void this.#answer(tunnel, request);
        }
      },
      lost: () => void socket.end(),
    });
  }

  async #answer(tunnel: CarriedTunnel, request: Buffer): Promise<void> {
    const { behaviour } = this;
    if (behaviour === 'hold') return;
    if (typeof behaviour === 'number') tunnel.answer(reply(behaviour));
    else if (behaviour === 'bind') {
      tunnel.answer(reply(0));
      this.binds.push(tunnel);
    } else {
      const target = behaviour === 'connect' ? await this.#connect(request) : hungUp();
      tunnel.answer(reply(target ? 0 : 5));
      if (!target) return;
      if (this.early.length > 0) target.unshift(this.early);
      tunnel.join(target, { idleMs: Infinity });
    }
  }

  /** The second reply to a BIND: a peer that says something and ends, or that failure. */
  meet(tunnel: CarriedTunnel, peer: Duplex | number): void {
    tunnel.answer(reply(typeof peer === 'number' ? peer : 0));
    if (typeof peer !== 'number') tunnel.join(peer, { idleMs: Infinity });
  }

  async #connect(request: Buffer): Promise<Socket | undefined> {
    const target = connect({
      host: hostOf(request),
      port: request.readUInt16BE(request.length - 2),
      allowHalfOpen: true,
    });
    this.#targets.add(target);
    target.once('close', () => this.#targets.delete(target));
    try {
      await once(target, 'connect');
      return target;
    } catch {
      return undefined;
    }
  }
}

function reply(code: number): Buffer {
  return Buffer.from([5, code, 0, 1, 127, 0, 0, 1, 0, 9]);
}

/** A destination that says nothing and ends. */
function hungUp(): Duplex {
  const stream = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  stream.push(null);
  return stream;
}

/** Names go to the loopback, whatever they are. */
function hostOf(request: Buffer): string {
  if (request[3] === 1) return request.subarray(4, 8).join('.');
  if (request[3] === 4) return '::1';
  return '127.0.0.1';
}

function reader(socket: TLSSocket): (sizeBytes: number) => Promise<Buffer> {
  return async (sizeBytes) => {
    if (sizeBytes === 0) return Buffer.alloc(0);
    for (;;) {
      const bytes: Buffer | null = socket.read(sizeBytes);
      if (bytes?.length === sizeBytes) return bytes;
      if (bytes || socket.readableEnded || socket.destroyed) throw new Error('left');
      const controller = new AbortController();
      const { signal } = controller;
      const events = ['readable', 'end', 'close'].map((name) => once(socket, name, { signal }));
      await Promise.race(events.map((event) => event.catch(() => undefined)));
      controller.abort();
    }
  };
}
