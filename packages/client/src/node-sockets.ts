import { isIPv6 } from 'node:net';
import { DatagramSocket, type Cancel, type Host } from '@argyle/host';
import { isHello } from '@argyle/secure-udp';
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

/**
 * A HELLO that follows so long a silence goes by another socket: what deals datagrams out by the
 * client's port, such as a balancer, may lead a new port to another node. Less than a machine waits
 * before it gives a node up; much less, and a HELLO that is on its way already loses its socket.
 */
const STUCK_MS = 50;
/** An answer may be on its way to them still: of a node's former sockets, so many are kept. */
const FORMER_MAX = 4;

interface NodeSocket {
  readonly node: DatagramNode;
  /** Datagrams go by it; undefined while it is being opened. */
  socket: DatagramSocket | undefined;
  former: DatagramSocket[];
  readonly waiting: Buffer[];
  usedAt: number;
  /** When something was sent that nothing was heard after; Infinity if nothing was. */
  unheardSince: number;
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

  /** Nodes that have one. */
  get size(): number {
    return this.#sockets.size;
  }

  /** The bytes must not change any more. `find` knows where the node of a name is. */
  send(bytes: Buffer, name: string, find: (name: string) => DatagramNode | undefined): void {
    const known = this.#sockets.get(name);
    const entry = known ?? (this.#closed ? undefined : this.#add(find(name)));
    if (!entry) {
      this.#handlers.unsent(1);
      return;
    }
    const now = this.#host.now();
    entry.usedAt = now;
    if (isHello(bytes) && entry.socket && now - entry.unheardSince >= STUCK_MS) this.#renew(entry);
    entry.unheardSince = Math.min(entry.unheardSince, now);
    if (entry.socket) entry.socket.send(bytes);
    else if (entry.waiting.length < WAITING_MAX) entry.waiting.push(bytes);
    else this.#handlers.unsent(1);
  }

  /** What was sent is on its way; nothing comes any more. */
  close(): void {
    this.#closed = true;
    this.#cancel?.();
    for (const entry of [...this.#sockets.values()]) this.#forget(entry);
  }

  #add(node: DatagramNode | undefined): NodeSocket | undefined {
    if (!node) return undefined;
    const usedAt = this.#host.now();
    const fresh = { socket: undefined, former: [], waiting: [], unheardSince: Infinity };
    const entry: NodeSocket = { node, usedAt, ...fresh };
    this.#sockets.set(node.name, entry);
    this.#cancel ??= this.#host.after(UNUSED_MS, () => this.#expire());
    void this.#open(entry);
    return entry;
  }

  #renew(entry: NodeSocket): void {
    this.#retire(entry);
    entry.unheardSince = Infinity;
    void this.#open(entry);
  }

  /** It only receives from now on. */
  #retire(entry: NodeSocket): void {
    if (entry.socket) entry.former.push(entry.socket);
    entry.socket = undefined;
    if (entry.former.length > FORMER_MAX) entry.former.shift()?.close();
  }

  async #open(entry: NodeSocket): Promise<void> {
    const { name, endpoint } = entry.node;
    const options = {
      address: isIPv6(endpoint.address) ? '::' : '0.0.0.0',
      port: 0,
      peer: endpoint,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    };
    let own: DatagramSocket | undefined;
    try {
      own = await DatagramSocket.open(options, {
        datagram: (bytes) => {
          if (own) this.#heard(entry, own);
          this.#handlers.datagram(bytes, name);
        },
        refused: () => {
          if (own && entry.socket === own) this.#handlers.refused(name);
        },
        unsent: (error) => {
          this.#handlers.unsent(1);
          if ('code' in error && STRANDED.has(String(error.code))) this.#forget(entry);
        },
      });
    } catch {
      this.#handlers.unsent(entry.waiting.length);
      this.#forget(entry);
      return;
    }
    if (this.#sockets.get(name) !== entry) own.close();
    else if (entry.socket) entry.former.push(own);
    else entry.socket = own;
    for (const bytes of entry.waiting.splice(0)) entry.socket?.send(bytes);
  }

  /** By a former socket too: then the node is there, and not where the newer one leads. */
  #heard(entry: NodeSocket, own: DatagramSocket): void {
    entry.usedAt = this.#host.now();
    entry.unheardSince = Infinity;
    if (entry.socket === own) return;
    entry.former = entry.former.filter((socket) => socket !== own);
    this.#retire(entry);
    entry.socket = own;
  }

  #forget(entry: NodeSocket): void {
    for (const socket of [entry.socket, ...entry.former]) socket?.close();
    entry.waiting.length = 0;
    const { name } = entry.node;
    if (this.#sockets.get(name) === entry) this.#sockets.delete(name);
  }

  #expire(): void {
    this.#cancel = undefined;
    const now = this.#host.now();
    for (const entry of [...this.#sockets.values()]) {
      if (entry.socket && entry.usedAt + UNUSED_MS <= now) this.#forget(entry);
      for (const socket of entry.former.splice(0)) socket.close();
    }
    if (this.#sockets.size > 0) this.#cancel = this.#host.after(UNUSED_MS, () => this.#expire());
  }
}
