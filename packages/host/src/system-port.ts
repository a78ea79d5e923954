import { createSocket, type Socket } from 'node:dgram';
import type { Port, PortHandlers, PortOptions } from './host.ts';
import type { Endpoint } from './machine.ts';
import { SystemLinks } from './system-links.ts';

/** Asked of the kernel, which may grant less: bursts wait here while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Small, so that the kernel pushes back before a device queue drops in silence. */
const SEND_BUFFER_BYTES = 256 * 1024;
/** What Linux answers to a multicast while the interface is away, and after another came back. */
const AWAY_CODES: ReadonlySet<string> = new Set(['ENETUNREACH', 'ENODEV']);

/**
 * A member's sockets. The group socket is bound to the group's address, not to 0.0.0.0, so that
 * another group on the same port is not heard; it only receives. The own socket sends everything,
 * because unicast to a shared port reaches whichever process bound it last.
 */
export class SystemPort implements Port {
  readonly #options: PortOptions;
  readonly #handlers: PortHandlers;
  readonly #group: Socket;
  readonly #own: Socket;
  readonly #links: SystemLinks;
  #away = false;
  #closed = false;

  constructor(options: PortOptions, handlers: PortHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#group = createSocket({ type: 'udp4', reuseAddr: true });
    this.#own = createSocket({ type: 'udp4' });
    for (const socket of [this.#group, this.#own]) {
      socket.on('error', (error) => this.#fail(error));
    }
    const { interfaceAddress: address, ownPort: port, linkKey } = options;
    // TCP first: its port numbers are the scarcer ones when the kernel may choose.
    this.#links = new SystemLinks({ own: { address, port }, linkKey }, handlers, (listening) => {
      if (listening instanceof Error) this.#fail(listening);
      else if (!this.#closed) this.#bindOwn({ address, port: listening });
    });
  }

  multicast(bytes: Uint8Array): void {
    if (this.#closed) return;
    if (this.#away) this.#attach();
    this.#send(bytes, this.#options.group, (error) => {
      if ('code' in error && AWAY_CODES.has(String(error.code))) this.#detach();
    });
  }

  unicast(bytes: Uint8Array, to: Endpoint): void {
    if (!this.#closed) this.#send(bytes, to, () => undefined);
  }

  openLink(link: number, to: Endpoint): void {
    this.#links.open(link, to);
  }

  writeLink(link: number, bytes: Uint8Array): void {
    this.#links.write(link, bytes);
  }

  closeLink(link: number): void {
    this.#links.close(link);
  }

  close(closed?: () => void): void {
    if (this.#closed) {
      closed?.();
      return;
    }
    this.#closed = true;
    let open = 2;
    const one = () => {
      open -= 1;
      if (open === 0) closed?.();
    };
    this.#group.close(() => this.#own.close(one));
    this.#links.stop(one);
  }

  #send(bytes: Uint8Array, to: Endpoint, refused: (error: Error) => void): void {
    this.#own.send(bytes, to.port, to.address, (error) => {
      if (!error || this.#closed) return;
      refused(error);
      this.#handlers.unsent(error);
    });
  }

  /** Sockets hold on to the interface that was there: one with its address later is another. */
  #detach(): void {
    if (this.#away) return;
    this.#away = true;
    const { group, interfaceAddress } = this.#options;
    tolerantly(() => this.#group.dropMembership(group.address, interfaceAddress));
  }

  #attach(): void {
    const { group, interfaceAddress } = this.#options;
    const attached = tolerantly(() => {
      this.#own.setMulticastInterface(interfaceAddress);
      this.#group.addMembership(group.address, interfaceAddress);
    });
    if (attached) this.#away = false;
  }

  #bindOwn(own: Endpoint): void {
    const { interfaceAddress, multicastTtl } = this.#options;
    this.#bind(this.#own, own, () => {
      this.#own.setMulticastInterface(interfaceAddress);
      this.#own.setMulticastLoopback(true);
      this.#own.setMulticastTTL(multicastTtl);
      this.#own.setSendBufferSize(SEND_BUFFER_BYTES);
      this.#joinGroup(own);
    });
  }

  #joinGroup(own: Endpoint): void {
    const { group, interfaceAddress } = this.#options;
    this.#bind(this.#group, group, () => {
      this.#group.addMembership(group.address, interfaceAddress);
      for (const socket of [this.#group, this.#own]) socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
      this.#group.on('message', (bytes, from) => this.#handlers.datagram(bytes, from, 'group'));
      this.#own.on('message', (bytes, from) => this.#handlers.datagram(bytes, from, 'own'));
      this.#handlers.opened(own);
    });
  }

  /** What the kernel refuses of a bound socket (no interface, not a group) is a failure too. */
  #bind(socket: Socket, { address, port }: Endpoint, bound: () => void): void {
    socket.bind({ address, port }, () => {
      if (this.#closed) return;
      try {
        bound();
      } catch (error) {
        this.#fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  #fail(error: Error): void {
    if (!this.#closed) this.#handlers.failed(error);
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
