import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Pulse, watchLeaving, type Endpoint, type Host, type Log, type Tunnel } from '@argyle/host';
import type { Answered, Cluster } from './cluster.ts';
import type { Counters, Outcome } from './counters.ts';
import { ClientError } from './errors.ts';
import { failureOf } from './failure.ts';
import { endpointLabel } from './label.ts';
import type { ClientOptions } from './options.ts';
import { RequestReader, type LocalRequest, type ReadFault } from './request-reader.ts';
import { decodeReply, SUCCEEDED, type Reply } from './socks-dialogue.ts';

export interface TunnelTotals {
  readonly open: number;
  readonly toClusterBytes: number;
  readonly fromClusterBytes: number;
}

/** RFC 1928 §3. */
const METHOD_NONE = Buffer.from([0x05, 0x00]);
const METHOD_REFUSED = Buffer.from([0x05, 0xff]);
/** RFC 1928 §6. */
const GENERAL_FAILURE = 0x01;
const HOST_UNREACHABLE = 0x04;
const COMMAND_NOT_SUPPORTED = 0x07;
const ADDRESS_TYPE_NOT_SUPPORTED = 0x08;
/** For an application to read a refusal: closing at once would reset what it has not read yet. */
const LINGER_MS = 1_000;
/** How long a reset may go unseen while nothing is read: the application's, or the tunnel's. */
const PULSE_MS = 15_000;

/** The cluster, as far as a port needs it. */
export type Requests = Pick<Cluster, 'ask'>;

/** Plain SOCKS5 for applications: CONNECT and BIND, no authentication. */
export class SocksPort {
  readonly #host: Host;
  readonly #log: Log;
  readonly #options: ClientOptions;
  readonly #counters: Counters;
  readonly #cluster: Requests;
  readonly #server: Server;
  readonly #pulse: Pulse;
  readonly #sockets = new Set<Socket>();
  readonly #requests = new Set<AbortController>();
  readonly #tunnels = new Set<Tunnel>();
  #closedBytes = { toCluster: 0, fromCluster: 0 };

  constructor(host: Host, log: Log, options: ClientOptions, counters: Counters, cluster: Requests) {
    this.#host = host;
    this.#log = log;
    this.#options = options;
    this.#counters = counters;
    this.#cluster = cluster;
    this.#pulse = new Pulse(host, { everyMs: PULSE_MS });
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      void this.#serve(socket);
    });
    this.#server.maxConnections = options.limits.connections;
    this.#server.on('drop', () => this.#count('excess'));
  }

  /** Rejects with a ClientError when the port cannot be had. */
  async listen(): Promise<Endpoint> {
    const { address, port } = this.#options.listen;
    try {
      this.#server.listen(port, address);
      await once(this.#server, 'listening');
    } catch (error) {
      const where = endpointLabel(this.#options.listen);
      const message = `cannot listen on ${where}: is another client running? Check \`listen\``;
      throw new ClientError('listen', message, { cause: error });
    }
    this.#server.on('error', (error) => {
      this.#log.error({ event: 'port-failed', cause: error.message }, 'port failed');
    });
    const own = this.#server.address() as AddressInfo;
    return { address: own.address, port: own.port };
  }

  get totals(): TunnelTotals {
    let { toCluster: toClusterBytes, fromCluster: fromClusterBytes } = this.#closedBytes;
    for (const tunnel of this.#tunnels) {
      fromClusterBytes += tunnel.forwardBytes;
      toClusterBytes += tunnel.backwardBytes;
    }
    return { open: this.#tunnels.size, toClusterBytes, fromClusterBytes };
  }

  /** Takes no more applications, and ends when those that are here have left or time is up. */
  async drain(boundMs: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#host.after(boundMs, resolve);
    await Promise.race([this.#closed(), late]);
    cancel();
  }

  /** Cuts what is left; ends when every socket is closed. */
  async stop(): Promise<void> {
    const closed = this.#closed();
    const stopped = new ClientError('stopped', 'the client is stopping');
    for (const request of this.#requests) request.abort(stopped);
    for (const tunnel of this.#tunnels) tunnel.abort();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([closed, ...[...this.#tunnels].map((tunnel) => tunnel.closed)]);
  }

  /** Stops listening, and ends when the last connection has gone. */
  #closed(): Promise<void> {
    return new Promise((resolve) => void this.#server.close(() => resolve()));
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#pulse.watch(socket);
    let late = false;
    const cancel = this.#host.after(this.#options.limits.greetingMs, () => {
      late = true;
      socket.destroy();
    });
    const read = await readRequest(socket);
    cancel();
    if (read === 'silent' && late) this.#count('greeting-timeout');
    else if (typeof read === 'string') this.#turnAway(socket, read);
    else if (read.command === 'udp') this.#finish(socket, 'unsupported', COMMAND_NOT_SUPPORTED);
    else await this.#request(socket, read);
  }

  async #request(socket: Socket, { command, bytes }: LocalRequest): Promise<void> {
    const controller = new AbortController();
    const cancel = this.#host.after(this.#options.limits.requestMs, () => {
      controller.abort(new ClientError('timeout', 'no answer within the time of a request'));
    });
    const left = () => controller.abort(new ClientError('stopped', 'the application left'));
    socket.once('close', left);
    this.#requests.add(controller);
    try {
      const { reply, tunnel } = await this.#cluster.ask(bytes, controller.signal);
      cancel();
      const last =
        command === 'bind' && reply.code === SUCCEEDED
          ? await this.#meet(socket, { reply, tunnel }, controller)
          : reply;
      if (last.code === SUCCEEDED && !socket.destroyed) {
        this.#count('connected');
        socket.write(last.bytes);
        this.#join(socket, tunnel);
      } else {
        tunnel.abort();
        this.#count(socket.destroyed ? 'abandoned' : 'refused');
        this.#end(socket, last.bytes);
      }
    } catch (error) {
      const { code } = failureOf(error);
      if (code === 'stopped') this.#finish(socket, 'abandoned', GENERAL_FAILURE);
      else if (controller.signal.aborted) this.#finish(socket, 'timeout', HOST_UNREACHABLE);
      else this.#finish(socket, 'failed', GENERAL_FAILURE);
    } finally {
      this.#requests.delete(controller);
      socket.off('close', left);
      cancel();
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

  #join(socket: Socket, tunnel: Answered['tunnel']): void {
    tunnel.join(socket, { idleMs: this.#options.limits.idleMs });
    this.#tunnels.add(tunnel);
    void tunnel.closed.then(({ forwardBytes, backwardBytes }) => {
      this.#tunnels.delete(tunnel);
      this.#closedBytes.fromCluster += forwardBytes;
      this.#closedBytes.toCluster += backwardBytes;
    });
  }

  #turnAway(socket: Socket, fault: ReadFault): void {
    if (fault === 'command') this.#finish(socket, 'unsupported', COMMAND_NOT_SUPPORTED);
    else if (fault === 'address-type') {
      this.#finish(socket, 'malformed', ADDRESS_TYPE_NOT_SUPPORTED);
    } else if (fault === 'methods') {
      this.#count('malformed');
      this.#end(socket, METHOD_REFUSED);
    } else {
      this.#count(fault === 'silent' ? 'abandoned' : 'malformed');
      socket.destroy();
    }
  }

  #finish(socket: Socket, outcome: Outcome, code: number): void {
    this.#count(outcome);
    this.#end(socket, Buffer.from([0x05, code, 0x00, 0x01, 0, 0, 0, 0, 0, 0]));
  }

  /** Says the last word, and waits a moment for the application to go. */
  #end(socket: Socket, bytes: Uint8Array): void {
    if (socket.destroyed) return;
    socket.end(bytes);
    socket.resume();
    const cancel = this.#host.after(LINGER_MS, () => socket.destroy());
    socket.once('end', () => socket.destroySoon());
    socket.once('close', cancel);
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
