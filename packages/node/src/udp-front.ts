import { DatagramSocket, type Endpoint } from '@argyle/host';
import { detectRecord } from '@argyle/secure-udp';
import { kernelDrops } from './kernel-drops.ts';
import type { UdpCounters } from './udp-counters.ts';
import { DATA_BYTES_MAX } from './udp-relay-socket.ts';

export interface UdpFrontHandlers {
  secure(bytes: Buffer, from: Endpoint): void;
  conventional(bytes: Buffer, from: Endpoint): void;
}

/** Bursts of all clients wait there while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** The node's UDP port: one for secure and for conventional clients (FIG. 3B). */
export class UdpFront {
  readonly #counters: UdpCounters;
  readonly #handlers: UdpFrontHandlers;
  #sockets: readonly DatagramSocket[] = [];
  #closed = false;

  constructor(counters: UdpCounters, handlers: UdpFrontHandlers) {
    this.#counters = counters;
    this.#handlers = handlers;
  }

  /** What the system threw away before it was read; undefined where it does not tell. */
  get kernelDrops(): number | undefined {
    const drops = this.#sockets.flatMap(({ endpoint }) => kernelDrops(endpoint) ?? []);
    return drops.length > 0 ? drops.reduce((sum, each) => sum + each) : undefined;
  }

  /**
   * Where TCP listens, which on `::` means both families. Rejects with the system's error; it may
   * be tried again then.
   */
  async listen({ address, port }: Endpoint): Promise<void> {
    const addresses = address === '::' ? ['::', '0.0.0.0'] : [address];
    const sockets: DatagramSocket[] = [];
    try {
      for (const own of addresses) sockets.push(await this.#open({ address: own, port }));
    } catch (error) {
      for (const socket of sockets) socket.close();
      throw error;
    }
    this.#sockets = sockets;
    if (this.#closed) this.close();
  }

  /** The bytes must not change any more. */
  send(bytes: Uint8Array, to: Endpoint): void {
    const [first, second] = this.#sockets;
    const family = to.address.includes(':') ? 6 : 4;
    if (bytes.length > DATA_BYTES_MAX[family]) this.#counters.unsent += 1;
    else (second && family === 4 ? second : first)?.send(bytes, to);
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.close();
  }

  #open(own: Endpoint): Promise<DatagramSocket> {
    return DatagramSocket.open(
      { ...own, receiveBufferBytes: RECEIVE_BUFFER_BYTES },
      {
        datagram: (bytes, from) => this.#handle(bytes, from),
        unsent: () => (this.#counters.unsent += 1),
      },
    );
  }

  #handle(bytes: Buffer, from: Endpoint): void {
    const kind = detectRecord(bytes);
    this.#counters.arrived[kind] += 1;
    if (kind === 'secure') this.#handlers.secure(bytes, from);
    else if (kind === 'conventional') this.#handlers.conventional(bytes, from);
  }
}
