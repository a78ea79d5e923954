import assert from 'node:assert/strict';
import { Carrier, type Cancel, type CarriedTunnel } from '@argyle/host';
import { asksForAssociation } from './association-requests.ts';
import type { Admission, ClientConnection } from './client-connection.ts';
import { openRequest } from './open-request.ts';
import { encodeReply, type ReplyName } from './socks-reply.ts';
import { parseRequest } from './socks-request.ts';
import type { SocksContext } from './socks-session.ts';

/** The requests of our client after its login, side by side on one connection. */
export class CarriedSession {
  /** Ends with the connection and its tunnels. Never rejects. */
  readonly ended: Promise<void>;
  readonly #context: SocksContext;
  readonly #connection: ClientConnection;
  readonly #admission: Admission;
  readonly #carrier: Carrier;
  /** Those that still have something to send to their destinations. */
  readonly #tunnels = new Set<Promise<void>>();
  readonly #lost = Promise.withResolvers<void>();
  readonly #end: () => void;
  #cancelIdle: Cancel = () => undefined;
  #ownSeatTaken = false;
  #draining = false;

  /** `end` closes the connection once all is sent. */
  constructor(
    context: SocksContext,
    connection: ClientConnection,
    { admission, end }: { readonly admission: Admission; readonly end: () => void },
  ) {
    this.#end = end;
    this.#context = context;
    this.#connection = connection;
    this.#admission = admission;
    this.#carrier = new Carrier(context.host, connection.socket, {
      requested: (tunnel, request) => void this.#serve(tunnel, request),
      idle: () => this.#idle(),
      lost: (reason) => {
        if (reason === 'malformed' || reason === 'unread') context.counters.socksEnds.add([reason]);
        this.#lost.resolve();
      },
    });
    this.ended = this.#ended();
    this.#idle();
  }

  /** Takes no more requests, and ends the connection when the last tunnel has left it. */
  drain(): void {
    this.#draining = true;
    if (this.#carrier.size === 0) this.#idle();
  }

  async #ended(): Promise<void> {
    await this.#lost.promise;
    this.#cancelIdle();
    await Promise.all(this.#tunnels);
  }

  /** Our client keeps connections for requests to come. */
  #idle(): void {
    this.#cancelIdle();
    if (this.#draining) {
      this.#context.counters.cut.add(['drain']);
      this.#end();
      return;
    }
    const { host, limits } = this.#context;
    this.#cancelIdle = host.after(limits.idleMs, () => {
      if (this.#carrier.size === 0) this.#end();
    });
  }

  async #serve(tunnel: CarriedTunnel, bytes: Buffer): Promise<void> {
    const { counters, limits, opened } = this.#context;
    // Without an answer it is asked for at another node.
    if (this.#draining) return tunnel.abort();
    const seat = this.#seat();
    if (typeof seat === 'string') {
      counters.refused.add([seat]);
      return tunnel.answer(encodeReply('failed'));
    }
    void tunnel.closed.then(() => seat.release());
    const gone = new AbortController();
    tunnel.whenGone(() => gone.abort());
    if (asksForAssociation(bytes)) return this.#associate(tunnel, bytes, gone.signal);
    const request = parseRequest(bytes);
    if (typeof request === 'string') return this.#refuse(tunnel, request);
    const { address, socket } = this.#connection;
    const destination = await openRequest(this.#context, request, {
      ...{ admission: this.#admission, address, left: gone.signal },
      localAddress: socket.localAddress ?? '',
      answer: (reply, bound) => tunnel.answer(encodeReply(reply, bound)),
    });
    if (!destination) return;
    tunnel.join(destination, { idleMs: limits.idleMs });
    opened(tunnel);
    const closed = tunnel.closed.then(({ reason }) => {
      counters.tunnels.add([reason]);
      this.#tunnels.delete(closed);
    });
    this.#tunnels.add(closed);
  }

  /** The tunnel is the control connection of an association: it may say nothing for long. */
  async #associate(tunnel: CarriedTunnel, request: Buffer, left: AbortSignal): Promise<void> {
    const { address, lineage, socket } = this.#connection;
    assert(lineage, 'our client comes over TLS');
    const { localAddress = '0.0.0.0', localPort = 0 } = socket;
    const { user } = this.#admission;
    const control = await this.#context.udp.requests.ask(request, {
      ...{ user, address, lineage, left },
      groups: () => (user === undefined ? [] : this.#context.users.groups(user)),
      exported: (sizeBytes, label) => this.#connection.exported(sizeBytes, label),
      answer: (reply) => {
        this.#context.counters.replies.add([reply]);
        tunnel.answer(encodeReply(reply, { address: localAddress, port: localPort }));
      },
    });
    if (control) tunnel.join(control.stream, { idleMs: Infinity });
  }

  /** The connection has a place of its own, which one tunnel at a time may have. */
  #seat(): { release(): void } | Exclude<ReturnType<SocksContext['seat']>, object> {
    if (this.#ownSeatTaken) return this.#context.seat(this.#connection.address);
    this.#ownSeatTaken = true;
    return { release: () => (this.#ownSeatTaken = false) };
  }

  #refuse(tunnel: CarriedTunnel, reply: ReplyName): void {
    this.#context.counters.replies.add([reply]);
    tunnel.answer(encodeReply(reply));
  }
}
