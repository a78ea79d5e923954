import { openTunnel, type Host, type Tunnel } from '@argyle/host';
import type { Dialer } from './dialer.ts';
import type { NodeCounters } from './node-counters.ts';
import type { AuthenticationOptions, LimitOptions } from './options.ts';
import type { Admission, SecureConnection } from './secure-connection.ts';
import { LOGIN_ACCEPTED, LOGIN_REFUSED } from './socks-login.ts';
import { encodeReply, type ReplyName } from './socks-reply.ts';
import { SocksStream, type ReadEnd, type SocksRequest } from './socks-stream.ts';
import type { Users } from './users.ts';

export interface SocksContext {
  readonly host: Host;
  readonly users: Users;
  readonly counters: NodeCounters;
  readonly dialer: Dialer;
  readonly methods: AuthenticationOptions['methods'];
  readonly limits: LimitOptions;
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
  readonly #connection: SecureConnection;
  readonly #stream: SocksStream;
  /** Those that still have something to send to their destinations. */
  readonly #tunnels = new Set<Promise<void>>();
  #state: 'idle' | 'busy' | 'ending' = 'idle';
  #served = false;

  constructor(context: SocksContext, connection: SecureConnection) {
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
    while (await this.#serve(admission));
    await Promise.all(this.#tunnels);
  }

  /** Takes no more requests: one that is under way is served, and its tunnel may end. */
  drain(): void {
    if (this.#state === 'idle') {
      this.#context.counters.cut.add(['drain']);
      this.#connection.cut();
    }
    this.#state = 'ending';
  }

  /** Whether the connection is good for another request. */
  async #serve(admission: Admission): Promise<boolean> {
    const { limits } = this.#context;
    const { speaksArgyle } = this.#connection;
    // Our clients keep connections for requests to come.
    const waitMs = speaksArgyle ? limits.idleMs : limits.requestMs;
    const began = () => {
      if (this.#state === 'idle') this.#state = 'busy';
    };
    const request = await this.#stream.request(waitMs, limits.requestMs, began);
    if ('kind' in request) {
      this.#unfinished(request);
      return false;
    }
    this.#served = true;
    const goesOn =
      request.command === 'connect'
        ? await this.#connect(request, admission)
        : await this.#refuse('command-not-supported');
    if (goesOn && this.#state === 'ending') this.#stream.end();
    if (this.#state === 'ending') return false;
    this.#state = 'idle';
    return goesOn;
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
    const result = await users.check(login.user, login.password, () => !socket.destroyed);
    counters.passwords.add([result]);
    if (socket.destroyed) {
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
    counters.loginWrites.add([await this.#connection.admit(admission)]);
    socket.write(LOGIN_ACCEPTED);
    return admission;
  }

  async #connect(request: SocksRequest, admission: Admission): Promise<boolean> {
    const { dialer, users, host, counters, limits, opened } = this.#context;
    const { socket, speaksArgyle } = this.#connection;
    const gone = new AbortController();
    const abort = () => gone.abort();
    socket.once('close', abort);
    if (socket.destroyed) abort();
    const { user } = admission;
    const result = await dialer.dial({
      command: request.command,
      destination: request.destination,
      port: request.port,
      user,
      groups: user === undefined ? [] : users.groups(user),
      signal: gone.signal,
    });
    socket.off('close', abort);
    if (result.kind === 'refused') return this.#refuse(result.reply);
    const { localAddress = '0.0.0.0', localPort = 0 } = result.socket;
    counters.replies.add(['succeeded']);
    socket.write(encodeReply('succeeded', { address: localAddress, port: localPort }));
    const options = { idleMs: limits.idleMs, chunked: speaksArgyle };
    const tunnel = openTunnel(host, socket, result.socket, options);
    opened(tunnel);
    const closed = tunnel.closed.then(({ reason }) => {
      counters.tunnels.add([reason]);
      this.#tunnels.delete(closed);
    });
    this.#tunnels.add(closed);
    return tunnel.released;
  }

  /** Whether the connection is good for another request: RFC 1928 §6 says no, our client yes. */
  #refuse(reply: ReplyName): Promise<boolean> {
    const { counters, limits } = this.#context;
    if (!this.#connection.speaksArgyle) {
      this.#refuseAndEnd(reply);
      return Promise.resolve(false);
    }
    counters.replies.add([reply]);
    return this.#stream.answer(encodeReply(reply), limits.requestMs);
  }

  #refuseAndEnd(reply: ReplyName): void {
    this.#context.counters.replies.add([reply]);
    this.#stream.end(encodeReply(reply));
  }

  #unfinished(end: ReadEnd | { readonly kind: 'busy' }): void {
    const { counters } = this.#context;
    if (end.kind === 'malformed' && end.part === 'command') {
      return this.#refuseAndEnd('command-not-supported');
    }
    if (end.kind === 'malformed' && end.part === 'address-type') {
      return this.#refuseAndEnd('address-type-not-supported');
    }
    // Who had what it came for may leave, or stay away.
    if (!this.#served || end.kind === 'malformed') counters.socksEnds.add([end.kind]);
    this.#stream.end(end.kind === 'malformed' && end.part === 'login' ? LOGIN_REFUSED : undefined);
  }
}
