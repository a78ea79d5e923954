import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import {
  Pulse,
  type CarriedTunnel,
  type Endpoint,
  type Host,
  type Log,
  type Tunnel,
} from '@argyle/host';
import { ClientError } from './errors.ts';
import { endpointLabel } from './label.ts';
import type { ClientLimits } from './options.ts';

export interface TunnelTotals {
  readonly open: number;
  readonly toClusterBytes: number;
  readonly fromClusterBytes: number;
}

export interface LocalPortOptions {
  readonly listen: Endpoint;
  /** Its key in the configuration, for who cannot have the port. */
  readonly key: string;
  readonly limits: Pick<ClientLimits, 'connections' | 'requestMs' | 'idleMs'>;
}

export interface LocalPortHandlers {
  serve(socket: Socket): Promise<void>;
  /** One connection more than the limit: it was closed. */
  excess(): void;
}

/** For an application to read a refusal: closing at once would reset what it has not read yet. */
const LINGER_MS = 1_000;
/** How long a reset may go unseen while nothing is read: the application's, or the tunnel's. */
const PULSE_MS = 15_000;

/** A TCP port for applications here, what they wait for, and their tunnels. */
export class LocalPort {
  readonly #host: Host;
  readonly #log: Log;
  readonly #options: LocalPortOptions;
  readonly #server: Server;
  readonly #pulse: Pulse;
  readonly #sockets = new Set<Socket>();
  readonly #requests = new Set<AbortController>();
  readonly #tunnels = new Set<Tunnel>();
  #closedBytes = { toCluster: 0, fromCluster: 0 };

  constructor(host: Host, log: Log, options: LocalPortOptions, handlers: LocalPortHandlers) {
    this.#host = host;
    this.#log = log;
    this.#options = options;
    this.#pulse = new Pulse(host, { everyMs: PULSE_MS });
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => this.#sockets.delete(socket));
      this.#pulse.watch(socket);
      void handlers.serve(socket);
    });
    this.#server.maxConnections = options.limits.connections;
    this.#server.on('drop', () => handlers.excess());
  }

  /** Rejects with a ClientError when the port cannot be had. */
  async listen(): Promise<Endpoint> {
    const { listen, key } = this.#options;
    try {
      this.#server.listen(listen.port, listen.address);
      await once(this.#server, 'listening');
    } catch (error) {
      const where = endpointLabel(listen);
      const message = `cannot listen on ${where}: is another client running? Check \`${key}\``;
      throw new ClientError('listen', message, { cause: error });
    }
    this.#server.on('error', (error) => {
      this.#log.error({ event: 'port-failed', cause: error.message }, 'port failed');
    });
    const { address, port } = this.#server.address() as AddressInfo;
    return { address, port };
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

  /**
   * Asks the cluster for something for an application: the controller aborts when the time of a
   * request is over, unless it was answered, when the application leaves and when the port stops.
   */
  async request<Result>(
    socket: Socket,
    ask: (controller: AbortController, answered: () => void) => Promise<Result>,
  ): Promise<Result> {
    const controller = new AbortController();
    const cancel = this.#host.after(this.#options.limits.requestMs, () => {
      controller.abort(new ClientError('timeout', 'no answer within the time of a request'));
    });
    const left = () => controller.abort(new ClientError('stopped', 'the application left'));
    socket.once('close', left);
    this.#requests.add(controller);
    try {
      return await ask(controller, cancel);
    } finally {
      this.#requests.delete(controller);
      socket.off('close', left);
      cancel();
    }
  }

  join(socket: Socket, tunnel: CarriedTunnel): void {
    tunnel.join(socket, { idleMs: this.#options.limits.idleMs });
    this.#tunnels.add(tunnel);
    void tunnel.closed.then(({ forwardBytes, backwardBytes }) => {
      this.#tunnels.delete(tunnel);
      this.#closedBytes.fromCluster += forwardBytes;
      this.#closedBytes.toCluster += backwardBytes;
    });
  }

  /** Says the last word, and waits a moment for the application to go. */
  end(socket: Socket, bytes: Uint8Array): void {
    if (socket.destroyed) return;
    socket.end(bytes);
    socket.resume();
    const cancel = this.#host.after(LINGER_MS, () => socket.destroy());
    socket.once('end', () => socket.destroySoon());
    socket.once('close', cancel);
  }

  /** Stops listening, and ends when the last connection has gone. */
  #closed(): Promise<void> {
    return new Promise((resolve) => void this.#server.close(() => resolve()));
  }
}
