import { isIPv6 } from 'node:net';
import { DatagramSocket, type Cancel, type Host } from '@argyle/host';
import type { DatagramNode } from './datagram-nodes.ts';

export interface NodeSocketsHandlers {
  /** The bytes are the handler's. */
  datagram(bytes: Buffer, node: string): void;
  /** The network says that nobody listens there. */
  refused(node: string): void;
  /** So many datagrams were lost here. */
  unsent(count: number): void;
}

/** Nothing went or came for so long: the node has dropped its epoch by now (PROTOCOL.md). */
const UNUSED_MS = 60_000;
/** What waits for a socket to open: that takes no longer than a turn or two. */
const WAITING_MAX = 64;
/** A burst waits there while JavaScript is busy. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024;
/** The socket's own address has gone, or no way leads there from it: another one may find one. */
const STRANDED = new Set(['EADDRNOTAVAIL', 'EHOSTUNREACH', 'EINVAL', 'ENETDOWN', 'ENETUNREACH']);

interface NodeSocket {
  socket: DatagramSocket | undefined;
  readonly waiting: Buffer[];
  usedAt: number;
}

/**
 * The sockets of one association: one for each node that it speaks with, connected, because only
 * such a socket is told that nobody listens there. Opened by the first datagram, closed when
 * nothing passed for a minute.
 */
export class NodeSockets {
  readonly #host: Host;
  readonly #handlers: NodeSocketsHandlers;
  readonly #sockets = new Map<string, NodeSocket>();
  #cancel: Cancel | undefined;
  #closed = false;

  constructor(host: Host, handlers: NodeSocketsHandlers) {
    this.#host = host;
    this.#handlers = handlers;
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** The bytes must not change any more. `to` is what `find` says for a name, or undefined. */
  send(bytes: Buffer, name: string, find: (name: string) => DatagramNode | undefined): void {
    const known = this.#sockets.get(name);
    if (known?.socket) {
      known.usedAt = this.#host.now();
      known.socket.send(bytes);
    } else if (known) this.#wait(known, bytes);
    else {
      const node = this.#closed ? undefined : find(name);
      if (node) this.#open(node, bytes);
      else this.#handlers.unsent(1);
    }
  }

  /** What was sent is on its way; nothing comes any more. */
  close(): void {
    this.#closed = true;
    this.#cancel?.();
    for (const { socket } of this.#sockets.values()) socket?.close();
    this.#sockets.clear();
  }

  #wait({ waiting }: NodeSocket, bytes: Buffer): void {
    if (waiting.length < WAITING_MAX) waiting.push(bytes);
    else this.#handlers.unsent(1);
  }

  #open({ name, endpoint }: DatagramNode, first: Buffer): void {
    const entry: NodeSocket = { socket: undefined, waiting: [first], usedAt: this.#host.now() };
    this.#sockets.set(name, entry);
    this.#cancel ??= this.#host.after(UNUSED_MS, () => this.#expire());
    const options = {
      address: isIPv6(endpoint.address) ? '::' : '0.0.0.0',
      port: 0,
      peer: endpoint,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    };
    const handlers = {
      datagram: (bytes: Buffer) => {
        entry.usedAt = this.#host.now();
        if (!this.#closed) this.#handlers.datagram(bytes, name);
      },
      refused: () => {
        if (!this.#closed) this.#handlers.refused(name);
      },
      unsent: (error: Error) => {
        this.#handlers.unsent(1);
        if ('code' in error && STRANDED.has(String(error.code))) this.#forget(name, entry);
      },
    };
    DatagramSocket.open(options, handlers).then(
      (socket) => this.#opened(name, entry, socket),
      () => {
        this.#handlers.unsent(entry.waiting.length);
        this.#forget(name, entry);
      },
    );
  }

  #opened(name: string, entry: NodeSocket, socket: DatagramSocket): void {
    if (this.#sockets.get(name) !== entry) {
      socket.close();
      return;
    }
    entry.socket = socket;
    for (const bytes of entry.waiting.splice(0)) socket.send(bytes);
  }

  #forget(name: string, entry: NodeSocket): void {
    entry.socket?.close();
    if (this.#sockets.get(name) === entry) this.#sockets.delete(name);
  }

  #expire(): void {
    this.#cancel = undefined;
    const now = this.#host.now();
    for (const [name, entry] of [...this.#sockets]) {
      if (entry.socket && entry.usedAt + UNUSED_MS <= now) this.#forget(name, entry);
    }
    if (this.#sockets.size > 0) this.#cancel = this.#host.after(UNUSED_MS, () => this.#expire());
  }
}
