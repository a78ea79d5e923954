import { DatagramSocket, type Endpoint, type Host } from '@argyle/host';
import type { PortRange } from './options.ts';
import { portCandidates } from './port-candidates.ts';
import type { UdpCounters } from './udp-counters.ts';

export type Family = 4 | 6;

/** Of one datagram, without jumbograms: RFC 768 over RFC 791, and over RFC 8200. */
export const DATA_BYTES_MAX: Readonly<Record<Family, number>> = { 4: 65_507, 6: 65_527 };

export interface RelaySocketOptions {
  readonly family: Family;
  /** 0 for any. Taken only from `ports`, if there are such, and if it is free. */
  readonly wishedPort: number;
  readonly ports: PortRange | undefined;
  readonly counters: Pick<UdpCounters, 'refused' | 'refuseUnsent'>;
  readonly received: (bytes: Buffer, from: Endpoint) => void;
  readonly opened: (port: number) => void;
}

/** Bursts of targets wait there while JavaScript is busy; the system may grant less. */
const RECEIVE_BUFFER_BYTES = 2 ** 20;
/** Datagrams that wait until the socket is open. */
const WAITING_MAX = 64;
/** Without a socket, until another try. */
const RETRY_MS = 1_000;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly to: Endpoint;
}

type State =
  | { readonly kind: 'new' | 'closed' }
  | { readonly kind: 'opening'; readonly waiting: Waiting[] }
  | { readonly kind: 'open'; readonly socket: DatagramSocket }
  | { readonly kind: 'failed'; readonly until: number };

/** One family's socket of a relay, opened by the first datagram that is sent from it. */
export class UdpRelaySocket {
  readonly #host: Host;
  readonly #options: RelaySocketOptions;
  #state: State = { kind: 'new' };

  constructor(host: Host, options: RelaySocketOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** There is none now, nor soon: the system does not give one. */
  get failed(): boolean {
    return this.#state.kind === 'failed' && this.#host.now() < this.#state.until;
  }

  /** False if it was dropped, which is counted. The bytes must not change any more. */
  send(bytes: Uint8Array, to: Endpoint): boolean {
    const { family, counters } = this.#options;
    if (bytes.length > DATA_BYTES_MAX[family]) {
      counters.refused.add(['size']);
      return false;
    }
    const state = this.#state;
    if (state.kind === 'open') {
      state.socket.send(bytes, to);
      return true;
    }
    return this.#wait(state, { bytes, to });
  }

  close(): void {
    if (this.#state.kind === 'open') this.#state.socket.close();
    this.#state = { kind: 'closed' };
  }

  #wait(state: Exclude<State, { kind: 'open' }>, datagram: Waiting): boolean {
    if (state.kind === 'opening' && state.waiting.length < WAITING_MAX) {
      state.waiting.push(datagram);
      return true;
    }
    if (state.kind === 'new' || (state.kind === 'failed' && !this.failed)) {
      this.#state = { kind: 'opening', waiting: [datagram] };
      void this.#open(this.#state.waiting);
      return true;
    }
    this.#options.counters.refused.add([state.kind === 'opening' ? 'waiting' : 'socket']);
    return false;
  }

  async #open(waiting: readonly Waiting[]): Promise<void> {
    const socket = await this.#bind();
    if (this.#closed) {
      socket?.close();
      return;
    }
    if (!socket) {
      this.#options.counters.refused.add(['socket'], waiting.length);
      this.#state = { kind: 'failed', until: this.#host.now() + RETRY_MS };
      return;
    }
    this.#state = { kind: 'open', socket };
    for (const { bytes, to } of waiting) socket.send(bytes, to);
    this.#options.opened(socket.endpoint.port);
  }

  async #bind(): Promise<DatagramSocket | undefined> {
    const { family, received, counters } = this.#options;
    const address = family === 4 ? '0.0.0.0' : '::';
    const unsent = (error: Error) => counters.refuseUnsent(error);
    for (const port of this.#ports()) {
      if (this.#closed) return undefined;
      try {
        const options = { address, port, receiveBufferBytes: RECEIVE_BUFFER_BYTES };
        return await DatagramSocket.open(options, { datagram: received, unsent });
      } catch (error) {
        if (!mayTryAnother(error)) return undefined;
      }
    }
    return undefined;
  }

  /** The wished one first. */
  #ports(): readonly number[] {
    const { wishedPort, ports } = this.#options;
    const others = portCandidates(ports, this.#host.random(4));
    const allowed = !ports || (ports.from <= wishedPort && wishedPort <= ports.to);
    return wishedPort > 0 && allowed ? [wishedPort, ...others] : others;
  }

  get #closed(): boolean {
    return this.#state.kind === 'closed';
  }
}

function mayTryAnother(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'EADDRINUSE' || error.code === 'EACCES';
}
