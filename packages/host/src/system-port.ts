import { createSocket, type Socket } from 'node:dgram';
import { asItIs } from './as-it-is.ts';
import { GroupSocket } from './group-socket.ts';
import type { Port, PortHandlers, PortOptions } from './host.ts';
import type { Channel, Endpoint } from './machine.ts';
import { SystemLinks } from './system-links.ts';

/** Asked of the kernel, which may grant less: bursts wait here while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Small, so that the kernel pushes back before a device queue drops in silence. */
const SEND_BUFFER_BYTES = 256 * 1024;

/**
 * A member's sockets. The own socket sends everything, because unicast to a shared port reaches
 * whichever process bound it last.
 */
export class SystemPort implements Port {
  readonly #options: PortOptions;
  readonly #handlers: PortHandlers;
  readonly #own: Socket;
  readonly #group: GroupSocket | undefined;
  readonly #links: SystemLinks;
  #closed = false;

  constructor(options: PortOptions, handlers: PortHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#own = createSocket({ type: 'udp4', lookup: asItIs(4) });
    const { group, interfaceAddress: address, ownPort: port, linkKeys } = options;
    if (group) this.#group = new GroupSocket({ ...options, group }, this.#own);
    for (const socket of this.#sockets) socket.on('error', (error) => this.#fail(error));
    // TCP first: its port numbers are the scarcer ones when the kernel may choose.
    this.#links = new SystemLinks({ own: { address, port }, linkKeys }, handlers, (listening) => {
      if (listening instanceof Error) this.#fail(listening);
      else if (!this.#closed) this.#bindOwn({ address, port: listening });
    });
  }

  get waitingBytes(): number {
    return this.#closed ? 0 : this.#own.getSendQueueSize();
  }

  multicast(bytes: Uint8Array): void {
    const { group } = this.#options;
    if (this.#closed || !group) return;
    this.#group?.attach();
    this.#send(bytes, group, (error) => this.#group?.refused(error));
  }

  rejoin(): void {
    if (!this.#closed) this.#group?.rejoin();
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
    let open = 1 + this.#sockets.length;
    const one = () => {
      open -= 1;
      if (open === 0) closed?.();
    };
    for (const socket of this.#sockets) socket.close(one);
    this.#links.stop(one);
  }

  get #sockets(): readonly Socket[] {
    return this.#group ? [this.#group.socket, this.#own] : [this.#own];
  }

  #send(bytes: Uint8Array, to: Endpoint, refused: (error: Error) => void): void {
    this.#own.send(bytes, to.port, to.address, (error) => {
      if (!error || this.#closed) return;
      refused(error);
      this.#handlers.unsent(error);
    });
  }

  #bindOwn(own: Endpoint): void {
    this.#bind(this.#own, own, () => {
      this.#own.setSendBufferSize(SEND_BUFFER_BYTES);
      const { group } = this.#options;
      if (this.#group && group) this.#bindGroup(this.#group, group, own);
      else this.#opened(own);
    });
  }

  #bindGroup(place: GroupSocket, group: Endpoint, own: Endpoint): void {
    place.prepareSender();
    this.#bind(place.socket, group, () => {
      place.join();
      this.#receive(place.socket, 'group');
      this.#opened(own);
    });
  }

  #opened(own: Endpoint): void {
    this.#receive(this.#own, 'own');
    this.#handlers.opened(own);
  }

  #receive(socket: Socket, channel: Channel): void {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    socket.on('message', (bytes, from) => this.#handlers.datagram(bytes, from, channel));
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
