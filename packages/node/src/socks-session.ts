import { openTunnel, type Host, type Tunnel } from '@argyle/host';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Binder } from './binder.ts';
import { CarriedSession } from './carried-session.ts';
import type { Admission, ClientConnection } from './client-connection.ts';
import type { Seat } from './connection-table.ts';
import type { Dialer } from './dialer.ts';
import type { NodeCounters } from './node-counters.ts';
import type { AuthenticationOptions, LimitOptions } from './options.ts';
import type { NodeUdp } from './node-udp.ts';
import { openRequest, type Asker } from './open-request.ts';
import { LOGIN_ACCEPTED, LOGIN_REFUSED } from './socks-login.ts';
import { encodeReply, type ReplyName } from './socks-reply.ts';
import type { SocksRequest } from './socks-request.ts';
import { SocksStream, type ReadEnd } from './socks-stream.ts';
import type { Users } from './users.ts';

export interface SocksContext {
  readonly host: Host;
  readonly users: Users;
  readonly counters: NodeCounters;
  readonly dialer: Dialer;
  readonly binder: Binder;
  readonly udp: Pick<NodeUdp, 'requests' | 'conventional'>;
  readonly methods: AuthenticationOptions['methods'];
  readonly limits: LimitOptions;
  /** A place for one more tunnel of that address, or why there is none. */
  readonly seat: (address: string) => Seat | 'limit' | 'address-limit';
  /** Told of each tunnel as it opens. */
  readonly opened: (tunnel: Tunnel) => void;
}

/** RFC 1928 §3. */
const VERSION = 5;
const METHOD_NONE = 0x00;
const METHOD_PASSWORD = 0x02;
const METHOD_NO_ACCEPTABLE = 0xff;

/**
 * One client's SOCKS5, from its greeting to the end of its tunnel. Who is known by a certificate or
 * by the lineage's login needs no password when the greeting offers "no authentication"; who goes
 * through user and password is judged by these alone, whatever else is known.
 */
export class SocksSession {
  readonly #context: SocksContext;
  readonly #connection: ClientConnection;
  readonly #stream: SocksStream;
  /** Once it is logged in, if it is our client. */
  #carried: CarriedSession | undefined;
  #requested = false;
  #draining = false;

  constructor(context: SocksContext, connection: ClientConnection) {
    this.#context = context;
    this.#connection = connection;
    this.#stream = new SocksStream(context.host, connection.socket);
  }

  /** Ends with the connection and its tunnels. Never rejects for anything that a peer does. */
  async run(): Promise<void> {
    const { limits } = this.#context;
    const methods = await this.#stream.methods(limits.greetingMs);
    if ('kind' in methods) return this.#unfinished(methods);
    const admission = await this.#authenticate(methods);
    if (!admission) return;
    this.#context.counters.logins.add([admission.basis]);
    if (this.#connection.speaksArgyle) await this.#carry(admission);
    else await this.#serve(admission);
  }

  /** Takes no more requests: those that are under way are served, and their tunnels may end. */
  drain(): void {
    this.#draining = true;
    if (this.#carried) this.#carried.drain();
    else if (!this.#requested) {
      this.#context.counters.cut.add(['drain']);
      this.#connection.cut();
    }
  }

  async #carry(admission: Admission): Promise<void> {
    this.#carried = new CarriedSession(this.#context, this.#connection, {
      admission,
      end: () => this.#stream.end(),
    });
    if (this.#draining) this.#carried.drain();
    await this.#carried.ended;
    this.#stream.end();
  }

  async #serve(admission: Admission): Promise<void> {
    const request = await this.#stream.request(this.#context.limits.requestMs);
    if ('kind' in request) return this.#unfinished(request);
    this.#requested = true;
    if (request.command === 'udp') return this.#associate(request, admission);
    const socket =
      request.command === 'bind'
        ? await this.#bind(request, admission)
        : await this.#open(request, admission);
    if (socket) await this.#join(socket, this.#context.limits.idleMs);
  }

  /** RFC 1928 §7: the connection stays open as long as the association is wanted. */
  async #associate({ port }: SocksRequest, { user }: Admission): Promise<void> {
    const { udp, users, counters } = this.#context;
    const { remoteAddress = '', localAddress = '' } = this.#connection.socket;
    const granted = udp.conventional.begin({
      ...{ user, port, localAddress, address: remoteAddress },
      groups: () => (user === undefined ? [] : users.groups(user)),
      secured: this.#connection.lineage !== undefined,
    });
    if (typeof granted === 'string') {
      return this.#refuse(granted === 'clear' ? 'not-allowed' : 'failed');
    }
    counters.replies.add(['succeeded']);
    this.#connection.socket.write(encodeReply('succeeded', granted.endpoint));
    await this.#join(granted.stream, Infinity);
  }

  async #join(far: Duplex, idleMs: number): Promise<void> {
    const { host, counters, opened } = this.#context;
    const tunnel = openTunnel(host, this.#connection.socket, far, { idleMs });
    opened(tunnel);
    const { reason } = await tunnel.closed;
    counters.tunnels.add([reason]);
  }

  async #authenticate(methods: Uint8Array): Promise<Admission | undefined> {
    const { known } = this.#connection;
    const open = this.#context.methods.includes('none');
    const password = this.#context.methods.includes('password');
    if (known && methods.includes(METHOD_NONE)) return this.#admit(known);
    if (password && methods.includes(METHOD_PASSWORD)) return this.#checkPassword();
    if (open && methods.includes(METHOD_NONE)) {
      return this.#admit({ basis: 'none', user: undefined });
    }
    this.#context.counters.socksEnds.add(['no-method']);
    this.#stream.end(Uint8Array.of(VERSION, METHOD_NO_ACCEPTABLE));
    return undefined;
  }

  #admit(admission: Admission): Admission {
    void this.#connection.admit(admission);
    this.#connection.socket.write(Uint8Array.of(VERSION, METHOD_NONE));
    return admission;
  }

  async #checkPassword(): Promise<Admission | undefined> {
    const { users, counters, limits } = this.#context;
    const { socket } = this.#connection;
    socket.write(Uint8Array.of(VERSION, METHOD_PASSWORD));
    const login = await this.#stream.login(limits.greetingMs);
    if (login.kind !== 'login') {
      this.#unfinished(login);
      return undefined;
    }
    const { result, left } = await this.#stream.readOn((left) =>
      users.check(login.user, login.password, () => !left.aborted),
    );
    counters.passwords.add([result]);
    if (left) {
      this.#unfinished({ kind: 'closed' });
      return undefined;
    }
    if (result === 'busy') {
      // No verdict: told that the password is wrong, a client would stop offering it.
      this.#unfinished({ kind: 'busy' });
      return undefined;
    }
    if (result !== 'accepted') {
      counters.socksEnds.add(['bad-password']);
      this.#stream.end(LOGIN_REFUSED);
      return undefined;
    }
    const admission: Admission = { basis: 'password', user: login.user };
    const written = await this.#connection.admit(admission);
    if (written) counters.loginWrites.add([written]);
    socket.write(LOGIN_ACCEPTED);
    return admission;
  }

  async #open(request: SocksRequest, admission: Admission): Promise<Socket | undefined> {
    const { socket } = this.#connection;
    const gone = new AbortController();
    const abort = () => gone.abort();
    socket.once('close', abort);
    if (socket.destroyed) abort();
    const opened = await openRequest(this.#context, request, this.#asker(admission, gone.signal));
    socket.off('close', abort);
    return opened;
  }

  /** Who has nothing to send while it waits for a peer does not end before it has come. */
  async #bind(request: SocksRequest, admission: Admission): Promise<Socket | undefined> {
    const { result, left } = await this.#stream.readOn((signal) =>
      openRequest(this.#context, request, this.#asker(admission, signal)),
    );
    if (left && !result) this.#stream.end();
    return result;
  }

  #asker(admission: Admission, left: AbortSignal): Asker {
    const { address, socket } = this.#connection;
    return {
      ...{ admission, address, left, localAddress: socket.localAddress ?? '' },
      answer: (reply, bound) => {
        const bytes = encodeReply(reply, bound);
        if (reply === 'succeeded') socket.write(bytes);
        else this.#stream.end(bytes);
      },
    };
  }

  #refuse(reply: ReplyName): void {
    this.#context.counters.replies.add([reply]);
    this.#stream.end(encodeReply(reply));
  }

  #unfinished(end: ReadEnd | { readonly kind: 'busy' }): void {
    const { counters } = this.#context;
    if (end.kind === 'malformed' && end.part === 'command') {
      return this.#refuse('command-not-supported');
    }
    if (end.kind === 'malformed' && end.part === 'address-type') {
      return this.#refuse('address-type-not-supported');
    }
    counters.socksEnds.add([end.kind]);
    this.#stream.end(end.kind === 'malformed' && end.part === 'login' ? LOGIN_REFUSED : undefined);
  }
}
