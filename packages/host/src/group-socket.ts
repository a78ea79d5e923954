import { createSocket, type Socket } from 'node:dgram';
import type { Endpoint } from './machine.ts';

export interface GroupSocketOptions {
  readonly group: Endpoint;
  readonly interfaceAddress: string;
  /** Hops that a multicast datagram may travel. */
  readonly multicastTtl: number;
}

/** What Linux answers to a multicast while the interface is away, and after another came back. */
const AWAY_CODES: ReadonlySet<string> = new Set(['ENETUNREACH', 'ENODEV']);

/**
 * A member's place in its group: a socket that only receives, and another's setting for sending. It
 * is bound to the group's address, not to 0.0.0.0, so that another group on the same port is not
 * heard.
 */
export class GroupSocket {
  readonly socket: Socket;
  readonly #options: GroupSocketOptions;
  readonly #sender: Socket;
  #away = false;

  /** `sender`: a bound socket, from which multicasts leave. */
  constructor(options: GroupSocketOptions, sender: Socket) {
    this.#options = options;
    this.#sender = sender;
    this.socket = createSocket({ type: 'udp4', reuseAddr: true });
  }

  /** The sender's part of it; throws what the kernel refuses. */
  prepareSender(): void {
    const { interfaceAddress, multicastTtl } = this.#options;
    this.#sender.setMulticastInterface(interfaceAddress);
    this.#sender.setMulticastLoopback(true);
    this.#sender.setMulticastTTL(multicastTtl);
  }

  /** Once the socket is bound; throws what the kernel refuses. */
  join(): void {
    const { group, interfaceAddress } = this.#options;
    this.socket.addMembership(group.address, interfaceAddress);
  }

  /** Before a multicast: the interface may be back. */
  attach(): void {
    if (!this.#away) return;
    this.#away = !tolerantly(() => {
      this.#sender.setMulticastInterface(this.#options.interfaceAddress);
      this.join();
    });
  }

  /** A multicast could not be sent. */
  refused(error: Error): void {
    if (this.#away || !('code' in error) || !AWAY_CODES.has(String(error.code))) return;
    // Sockets hold on to the interface that was there: one with its address later is another.
    this.#away = true;
    this.#leave();
  }

  rejoin(): void {
    if (this.#away) return;
    this.#leave();
    this.#away = !tolerantly(() => this.join());
  }

  #leave(): void {
    const { group, interfaceAddress } = this.#options;
    tolerantly(() => this.socket.dropMembership(group.address, interfaceAddress));
  }
}

/** False when the kernel refuses, as it does while there is no interface with the address. */
function tolerantly(call: () => void): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}
