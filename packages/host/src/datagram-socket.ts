import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { asItIs } from './as-it-is.ts';
import type { Endpoint } from './machine.ts';

export interface DatagramSocketOptions {
  /** An address of this machine or an unspecified one; its family is the socket's. */
  readonly address: string;
  /** 0 picks one. */
  readonly port: number;
  /** Hears nobody else, sends to nobody else, and is told when nobody listens there. */
  readonly peer?: Endpoint;
  /** Asked of the kernel, which may grant less: bursts wait there while JavaScript is busy. */
  readonly receiveBufferBytes?: number;
}

export interface DatagramHandlers {
  /** The bytes are the handler's. */
  datagram(bytes: Buffer, from: Endpoint): void;
  /** The network says that nobody listens at the peer. */
  refused?(): void;
  /** A datagram could not be sent. The first few of those that fail may not be told. */
  unsent?(error: Error): void;
}

/**
 * The runtime says how a send ended only if it is asked, at a tenth of what sending costs: it is
 * asked for one of so many, and for each while they fail.
 */
const ASKED_OF = 32;
/** What a datagram brings: the peer does not listen. */
const REFUSED = 'ECONNREFUSED';

/** One UDP socket. It never fails once it is open: what cannot be sent is told and is lost. */
export class DatagramSocket {
  readonly endpoint: Endpoint;
  readonly #socket: Socket;
  readonly #handlers: DatagramHandlers;
  readonly #connected: boolean;
  #sends = 0;
  #failing = false;
  #closed = false;

  /** Rejects with the system's error. */
  static async open(
    options: DatagramSocketOptions,
    handlers: DatagramHandlers,
  ): Promise<DatagramSocket> {
    const { address, port, peer, receiveBufferBytes } = options;
    const ipv6Only = isIPv6(address);
    const type = ipv6Only ? 'udp6' : 'udp4';
    const socket = createSocket({ type, ipv6Only, lookup: asItIs(ipv6Only ? 6 : 4) });
    await settled(socket, 'listening', () => socket.bind({ address, port }));
    if (peer) await settled(socket, 'connect', () => socket.connect(peer.port, peer.address));
    if (receiveBufferBytes !== undefined) socket.setRecvBufferSize(receiveBufferBytes);
    return new DatagramSocket(socket, handlers, peer !== undefined);
  }

  private constructor(socket: Socket, handlers: DatagramHandlers, connected: boolean) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#connected = connected;
    const { address, port } = socket.address();
    this.endpoint = { address, port };
    socket.on('message', (bytes: Buffer, from: RemoteInfo) => handlers.datagram(bytes, from));
    socket.on('error', (error) => this.#failed(error));
  }

  /** The bytes must not change any more. `to` is an address, and needed unless there is a peer. */
  send(bytes: Uint8Array, to?: Endpoint): void {
    if (this.#closed) return;
    // A peer that refuses may be told by any of them.
    if (this.#connected) this.#socket.send(bytes, this.#sent);
    else if (to) this.#sendTo(bytes, to);
  }

  #sendTo(bytes: Uint8Array, { port, address }: Endpoint): void {
    const asked = this.#failing || this.#sends % ASKED_OF === 0;
    this.#sends += 1;
    if (asked) this.#socket.send(bytes, port, address, this.#sent);
    else this.#socket.send(bytes, port, address);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  readonly #sent = (error: Error | null): void => {
    this.#failing = error !== null;
    if (error) this.#failed(error);
  };

  #failed(error: Error): void {
    if (this.#closed) return;
    if (this.#connected && 'code' in error && error.code === REFUSED) this.#handlers.refused?.();
    else this.#handlers.unsent?.(error);
  }
}

/** Closes the socket when it fails. */
function settled(socket: Socket, event: 'listening' | 'connect', begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      socket.off(event, done);
      socket.close();
      reject(error);
    };
    const done = () => {
      socket.off('error', failed);
      resolve();
    };
    socket.once('error', failed).once(event, done);
    begin();
  });
}
