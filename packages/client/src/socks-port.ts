import type { Socket } from 'node:net';
import { watchLeaving, type Endpoint, type Host, type Log } from '@argyle/host';
import { encodeSocksDatagram } from '@argyle/secure-udp';
import type { Associations } from './associations.ts';
import type { Answered, Cluster } from './cluster.ts';
import type { Counters, Outcome } from './counters.ts';
import { ClientError } from './errors.ts';
import { failureOf } from './failure.ts';
import { LocalAssociation } from './local-association.ts';
import { LocalPort, type TunnelTotals } from './local-port.ts';
import type { ClientOptions } from './options.ts';
import { RequestReader, type LocalRequest, type ReadFault } from './request-reader.ts';
import { decodeReply, SUCCEEDED, type Reply } from './socks-dialogue.ts';

/** RFC 1928 §3. */
const METHOD_NONE = Buffer.from([0x05, 0x00]);
const METHOD_REFUSED = Buffer.from([0x05, 0xff]);
/** RFC 1928 §6. */
const GENERAL_FAILURE = 0x01;
const HOST_UNREACHABLE = 0x04;
const COMMAND_NOT_SUPPORTED = 0x07;
const ADDRESS_TYPE_NOT_SUPPORTED = 0x08;
const NOTHING = Buffer.alloc(0);

/** What a port asks of the cluster. */
export interface Requests {
  readonly cluster: Pick<Cluster, 'ask'>;
  readonly associations: Associations;
}

/** Plain SOCKS5 for applications: CONNECT, BIND and UDP ASSOCIATE, no authentication. */
export class SocksPort {
  readonly #host: Host;
  readonly #options: ClientOptions;
  readonly #counters: Counters;
  readonly #cluster: Pick<Cluster, 'ask'>;
  readonly #associations: Associations;
  readonly #port: LocalPort;

  constructor(
    host: Host,
    log: Log,
    options: ClientOptions,
    counters: Counters,
    { cluster, associations }: Requests,
  ) {
    this.#host = host;
    this.#options = options;
    this.#counters = counters;
    this.#cluster = cluster;
    this.#associations = associations;
    const { listen, limits } = options;
    this.#port = new LocalPort(
      host,
      log,
      { listen, key: 'listen', limits },
      { serve: (socket) => this.#serve(socket), excess: () => this.#count('excess') },
    );
  }

  /** Rejects with a ClientError when the port cannot be had. */
  listen(): Promise<Endpoint> {
    return this.#port.listen();
  }

  get totals(): TunnelTotals {
    return this.#port.totals;
  }

  /** Takes no more applications, and ends when those that are here have left or time is up. */
  drain(boundMs: number): Promise<void> {
    return this.#port.drain(boundMs);
  }

  /** Cuts what is left; ends when every socket is closed. */
  stop(): Promise<void> {
    return this.#port.stop();
  }

  async #serve(socket: Socket): Promise<void> {
    let late = false;
    const cancel = this.#host.after(this.#options.limits.greetingMs, () => {
      late = true;
      socket.destroy();
    });
    const read = await readRequest(socket);
    cancel();
    if (read === 'silent' && late) this.#count('greeting-timeout');
    else if (typeof read === 'string') this.#turnAway(socket, read);
    else await this.#request(socket, read);
  }

  async #request(socket: Socket, request: LocalRequest): Promise<void> {
    let signal: AbortSignal | undefined;
    try {
      await this.#port.request(socket, async (controller, answered) => {
        ({ signal } = controller);
        if (request.command === 'udp') await this.#associate(socket, request, controller);
        else await this.#connect(socket, request, controller, answered);
      });
    } catch (error) {
      const { code } = failureOf(error);
      if (code === 'stopped') this.#finish(socket, 'abandoned', GENERAL_FAILURE);
      else if (signal?.aborted) this.#finish(socket, 'timeout', HOST_UNREACHABLE);
      else this.#finish(socket, 'failed', GENERAL_FAILURE);
    }
  }

  async #connect(
    socket: Socket,
    { command, bytes }: LocalRequest,
    controller: AbortController,
    answered: () => void,
  ): Promise<void> {
    const { reply, tunnel } = await this.#cluster.ask(bytes, controller.signal);
    answered();
    const last =
      command === 'bind' && reply.code === SUCCEEDED
        ? await this.#meet(socket, { reply, tunnel }, controller)
        : reply;
    if (last.code === SUCCEEDED && !socket.destroyed) {
      this.#count('connected');
      socket.write(last.bytes);
      this.#port.join(socket, tunnel);
    } else {
      tunnel.abort();
      this.#refuse(socket, last);
    }
  }

  /** The association lives as long as the connection that it was asked for on (RFC 1928 §6). */
  async #associate(
    socket: Socket,
    { bytes }: LocalRequest,
    { signal }: AbortController,
  ): Promise<void> {
    const { localAddress = '', remoteAddress = '' } = socket;
    const port = bytes.readUInt16BE(bytes.length - 2);
    const over = () => socket.destroy();
    const application = { address: remoteAddress, port };
    const options = { local: localAddress, application, over };
    const local = await LocalAssociation.open(this.#associations, options, signal);
    if (local === 'excess') this.#finish(socket, 'refused', GENERAL_FAILURE);
    else if (!(local instanceof LocalAssociation)) this.#refuse(socket, local);
    else if (socket.destroyed) {
      this.#count('abandoned');
      await local.close();
    } else {
      this.#count('connected');
      socket.write(associated(local.endpoint));
      socket.once('end', () => socket.destroySoon());
      socket.once('close', () => void local.close());
      socket.resume();
    }
  }

  /**
   * Passes the first reply to a BIND on, and waits for the second. The node bounds the wait; this
   * bound is for one that says nothing any more.
   */
  async #meet(
    socket: Socket,
    { reply, tunnel }: Answered,
    controller: AbortController,
  ): Promise<Reply> {
    const { signal } = controller;
    socket.write(reply.bytes);
    const cancel = this.#host.after(this.#options.limits.idleMs, () => {
      controller.abort(new ClientError('timeout', 'no peer, and no word of the node'));
    });
    const unwatch = watchLeaving(socket, () => {
      controller.abort(new ClientError('stopped', 'the application left'));
    });
    const abort = () => tunnel.abort();
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    try {
      const bytes = await tunnel.repliedAgain;
      const second = bytes && decodeReply(bytes);
      if (second) return second;
      tunnel.abort();
      throw signal.aborted ? failureOf(signal.reason) : new ClientError('closed', 'the node left');
    } finally {
      cancel();
      unwatch();
      signal.removeEventListener('abort', abort);
    }
  }

  #turnAway(socket: Socket, fault: ReadFault): void {
    if (fault === 'command') this.#finish(socket, 'unsupported', COMMAND_NOT_SUPPORTED);
    else if (fault === 'address-type') {
      this.#finish(socket, 'malformed', ADDRESS_TYPE_NOT_SUPPORTED);
    } else if (fault === 'methods') {
      this.#count('malformed');
      this.#port.end(socket, METHOD_REFUSED);
    } else {
      this.#count(fault === 'silent' ? 'abandoned' : 'malformed');
      socket.destroy();
    }
  }

  /** A node's words. */
  #refuse(socket: Socket, { bytes }: Reply): void {
    this.#count(socket.destroyed ? 'abandoned' : 'refused');
    this.#port.end(socket, bytes);
  }

  #finish(socket: Socket, outcome: Outcome, code: number): void {
    this.#count(outcome);
    this.#port.end(socket, Buffer.from([0x05, code, 0x00, 0x01, 0, 0, 0, 0, 0, 0]));
  }

  #count(outcome: Outcome): void {
    this.#counters.requests[outcome] += 1;
  }
}

/** The method is selected on the way. */
async function readRequest(socket: Socket) {
  const reader = new RequestReader(socket);
  const methods = await reader.methods();
  if (typeof methods === 'string') return methods;
  if (!methods.includes(0x00)) return 'methods';
  socket.write(METHOD_NONE);
  return reader.request();
}

/** A reply ends as a datagram's header does (RFC 1928 §6, §7). */
function associated({ address, port }: Endpoint): Buffer {
  const reply = encodeSocksDatagram(address, port, NOTHING);
  reply[0] = 0x05;
  return reply;
}
