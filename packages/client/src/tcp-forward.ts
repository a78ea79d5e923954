import type { Socket } from 'node:net';
import type { Endpoint, Host, Log } from '@argyle/host';
import { encodeSocksDatagram } from '@argyle/secure-udp';
import type { Cluster } from './cluster.ts';
import type { Counters } from './counters.ts';
import { failureOf } from './failure.ts';
import { ForwardLog } from './forward-log.ts';
import { LocalPort, type TunnelTotals } from './local-port.ts';
import type { ClientLimits } from './options.ts';
import { SUCCEEDED } from './socks-dialogue.ts';
import type { Forward } from './udp-options.ts';

export interface TcpForwardContext {
  readonly host: Host;
  readonly log: Log;
  readonly cluster: Pick<Cluster, 'ask'>;
  readonly counters: Counters;
  readonly limits: ClientLimits;
}

/** A TCP port here whose connections lead to one target, as by a CONNECT. */
export class TcpForward {
  readonly forward: Forward;
  readonly #context: TcpForwardContext;
  readonly #port: LocalPort;
  readonly #request: Buffer;
  readonly #log: ForwardLog;

  constructor(context: TcpForwardContext, forward: Forward) {
    const { host, log, limits, counters } = context;
    this.forward = forward;
    this.#context = context;
    this.#log = new ForwardLog(log, forward);
    this.#request = connectRequest(forward.target);
    this.#port = new LocalPort(
      host,
      log,
      { listen: forward.listen, key: 'forwards', limits },
      {
        serve: (socket) => this.#serve(socket),
        excess: () => void (counters.requests.excess += 1),
      },
    );
  }

  /** Open tunnels. */
  get flows(): number {
    return this.#port.totals.open;
  }

  get totals(): TunnelTotals {
    return this.#port.totals;
  }

  /** Rejects with a ClientError when the port cannot be had. */
  listen(): Promise<Endpoint> {
    return this.#port.listen();
  }

  drain(boundMs: number): Promise<void> {
    return this.#port.drain(boundMs);
  }

  stop(): Promise<void> {
    return this.#port.stop();
  }

  async #serve(socket: Socket): Promise<void> {
    const { requests } = this.#context.counters;
    let signal: AbortSignal | undefined;
    try {
      await this.#port.request(socket, async (controller, answered) => {
        ({ signal } = controller);
        const { reply, tunnel } = await this.#context.cluster.ask(this.#request, signal);
        answered();
        if (reply.code === SUCCEEDED && !socket.destroyed) {
          requests.connected += 1;
          this.#log.granted();
          this.#port.join(socket, tunnel);
          return;
        }
        tunnel.abort();
        requests[socket.destroyed ? 'abandoned' : 'refused'] += 1;
        if (reply.code !== SUCCEEDED) this.#log.refused(reply.code);
        socket.resetAndDestroy();
      });
    } catch (error) {
      const { code, message } = failureOf(error);
      if (code === 'stopped') requests.abandoned += 1;
      else {
        requests[signal?.aborted ? 'timeout' : 'failed'] += 1;
        this.#log.refused(message);
      }
      socket.resetAndDestroy();
    }
  }
}

/** A request ends as a datagram's header does (RFC 1928 §4, §7). */
function connectRequest({ host, port }: Forward['target']): Buffer {
  const request = encodeSocksDatagram(host, port, Buffer.alloc(0));
  request.set([0x05, 0x01]);
  return request;
}
