import { DatagramSocket, formatAddress, parseAddress, type Endpoint } from '@argyle/host';
import { detectRecord } from '@argyle/secure-udp';
import { Association } from './association.ts';
import type { Associations } from './associations.ts';
import type { LinkEnd } from './control-link.ts';
import type { Reply } from './socks-dialogue.ts';

export interface LocalAssociationOptions {
  /** Where the application connected to. */
  readonly local: string;
  readonly application: {
    readonly address: string;
    /** What it said that it sends from; 0 if it did not. */
    readonly port: number;
  };
  readonly over: (reason: LinkEnd) => void;
}

/** A burst waits there while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

/**
 * One UDP ASSOCIATE of an application (RFC 1928 §7): a port here for it alone, and an association.
 * Its datagrams go to the node as they come, header and all, and back.
 */
export class LocalAssociation {
  /** Where the application is to send to. */
  readonly endpoint: Endpoint;
  readonly #associations: Associations;
  readonly #association: Association;
  readonly #socket: DatagramSocket;
  #closed = false;

  /**
   * A node's refusal, or `excess`, if there is none. Rejects with a ClientError when no node
   * answers or the signal aborts, and with the system's error when no port is free.
   */
  static async open(
    associations: Associations,
    options: LocalAssociationOptions,
    signal: AbortSignal,
  ): Promise<LocalAssociation | Reply | 'excess'> {
    const application = { ...options.application, address: plain(options.application.address) };
    let current: LocalAssociation | undefined;
    const association = await associations.open({ kind: 'associate' }, signal, {
      payload: (bytes) => current?.send(bytes),
      over: (reason) => {
        current?.shut();
        options.over(reason);
      },
    });
    if (!(association instanceof Association)) return association;
    const { counters } = associations;
    const sender: Sender = { ...application };
    const handlers = {
      datagram: (bytes: Buffer, { address, port }: Endpoint) => {
        if (address !== sender.address || (sender.port !== 0 && port !== sender.port)) {
          counters.refuse('foreign');
        } else if (detectRecord(bytes) !== 'conventional') counters.refuse('malformed');
        else {
          sender.port = port;
          association.send(bytes);
        }
      },
      unsent: () => counters.refuse('unsent'),
    };
    try {
      const address = plain(options.local);
      const receiveBufferBytes = RECEIVE_BUFFER_BYTES;
      const socket = await DatagramSocket.open({ address, port: 0, receiveBufferBytes }, handlers);
      current = new LocalAssociation(associations, association, socket, sender);
      return current;
    } catch (error) {
      await associations.end(association);
      throw error;
    }
  }

  readonly #sender: Sender;

  private constructor(
    associations: Associations,
    association: Association,
    socket: DatagramSocket,
    sender: Sender,
  ) {
    this.#associations = associations;
    this.#association = association;
    this.#socket = socket;
    this.#sender = sender;
    this.endpoint = socket.endpoint;
  }

  /** To the application, once it has shown where it is. */
  send(bytes: Uint8Array): void {
    if (this.#sender.port !== 0) this.#socket.send(bytes, this.#sender);
  }

  /** The application has left. Ends when nothing of it is left here. */
  async close(): Promise<void> {
    this.shut();
    await this.#associations.end(this.#association);
  }

  /** Nothing more is received. */
  shut(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

interface Sender {
  readonly address: string;
  /** 0: it has not been seen yet. */
  port: number;
}

/** What came in over IPv4 at an IPv6 port has an address of IPv4. */
function plain(address: string): string {
  const parsed = parseAddress(address);
  return parsed?.bytes.length === 4 ? formatAddress(parsed) : address;
}
