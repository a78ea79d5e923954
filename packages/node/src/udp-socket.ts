import { DatagramSocket, type Endpoint, type Host } from '@argyle/host';
import type { PortRange } from './options.ts';
import { portCandidates } from './port-candidates.ts';

export interface UdpSocketOptions {
  readonly family: 4 | 6;
  /** The port that it would like to have; 0 for any. */
  readonly wishedPort: number;
  /** Where it may be, if not anywhere. */
  readonly ports: PortRange | undefined;
  readonly datagram: (bytes: Buffer, from: Endpoint) => void;
  readonly opened: (port: number) => void;
  /** No port can be had: what waited is lost, as is what is sent later. */
  readonly failed: (datagrams: number) => void;
  readonly unsent: (error: Error) => void;
}

/** Bursts of targets wait there while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024;
/** Datagrams that wait for the socket to open. */
const WAITING_MAX = 64;

/** An outgoing socket of one association and family: what is sent early waits until it is open. */
export class UdpSocket {
  readonly #host: Host;
  readonly #options: UdpSocketOptions;
  #socket: DatagramSocket | undefined;
  #waiting: { readonly data: Uint8Array; readonly to: Endpoint }[] = [];
  #failedAt: number | undefined;
  #state: 'opening' | 'open' | 'failed' | 'closed' = 'opening';

  constructor(host: Host, options: UdpSocketOptions) {
    this.#host = host;
    this.#options = options;
    void this.#open();
  }

  /** Monotonic; undefined unless no port could be had. */
  get failedAt(): number | undefined {
    return this.#failedAt;
  }

  get port(): number | undefined {
    return this.#socket?.endpoint.port;
  }

  /** False if there is no room or no socket. The data must not change any more. */
  send(data: Uint8Array, to: Endpoint): boolean {
    if (this.#socket) this.#socket.send(data, to);
    else if (this.#state === 'opening' && this.#waiting.length < WAITING_MAX) {
      this.#waiting.push({ data, to });
    } else return false;
    return true;
  }

  close(): void {
    this.#state = 'closed';
    this.#waiting = [];
    this.#socket?.close();
  }

  async #open(): Promise<void> {
    const socket = await this.#bind();
    if (this.#state === 'closed') {
      socket?.close();
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#socket = socket;
    this.#state = socket ? 'open' : 'failed';
    if (socket) {
      for (const { data, to } of waiting) socket.send(data, to);
      this.#options.opened(socket.endpoint.port);
    } else {
      this.#failedAt = this.#host.now();
      this.#options.failed(waiting.length);
    }
  }

  async #bind(): Promise<DatagramSocket | undefined> {
    const { family, wishedPort, ports, datagram, unsent } = this.#options;
    const wished = wishedPort > 0 && isIn(wishedPort, ports) ? [wishedPort] : [];
    for (const port of [...wished, ...portCandidates(ports, this.#host.random(4))]) {
      const address = family === 4 ? '0.0.0.0' : '::';
      const options = { address, port, receiveBufferBytes: RECEIVE_BUFFER_BYTES };
      try {
        return await DatagramSocket.open(options, { datagram, unsent });
      } catch {
        if (this.#state === 'closed') return undefined;
      }
    }
    return undefined;
  }
}

function isIn(port: number, ports: PortRange | undefined): boolean {
  return !ports || (ports.from <= port && port <= ports.to);
}
