import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Endpoint } from '@argyle/host';
import { encodeSocksDatagram } from '@argyle/secure-udp';
import {
  AeadSeal,
  cutDatagram,
  header,
  HEADER_BYTES,
  hello,
  RANDOM_BYTES,
  SEALED,
  TAKE_OVER,
  takeOf,
  type WireRecord,
} from './wire-record.ts';

const TAKE_MS = 5_000;
const TAG_BYTES = 16;
const DATA = 1;

/** A client's epoch at a node, by hand: whoever has the secret can do all of this. */
export class HandEpoch {
  /** First bytes of contents that the node has sealed for it, with what follows. */
  readonly heard: Buffer[] = [];
  readonly node: Endpoint;
  readonly #socket: Socket;
  readonly #association: string;
  readonly #epoch: string;
  readonly #clientRandom = randomBytes(RANDOM_BYTES);
  readonly #toNode: AeadSeal;
  readonly #toClient: AeadSeal;
  #sequence = 0n;

  /**
   * HELLO and TAKE, from an address of its own if none is given; the epoch is opened by the first
   * record.
   */
  static async begin(
    node: Endpoint,
    { id, secret }: { readonly id: string; readonly secret: Uint8Array },
    given?: Socket,
  ): Promise<HandEpoch> {
    const socket = given ?? createSocket('udp4').bind(0, '127.0.0.1');
    if (!given) await once(socket, 'listening');
    socket.send(hello(id, BigInt(socket.address().port)), node.port, node.address);
    const answer = once(socket, 'message', { signal: AbortSignal.timeout(TAKE_MS) });
    const [bytes] = (await answer) as [Buffer];
    const [take] = cutDatagram(bytes);
    if (take?.type !== TAKE_OVER) throw new Error('no TAKE');
    return new HandEpoch(node, socket, take, secret);
  }

  private constructor(node: Endpoint, socket: Socket, take: WireRecord, secret: Uint8Array) {
    this.node = node;
    this.#socket = socket;
    this.#association = take.association;
    this.#epoch = take.epoch;
    const randoms = { nodeRandom: takeOf(take).nodeRandom, clientRandom: this.#clientRandom };
    this.#toNode = new AeadSeal('aes-128-gcm', secret, 'client to node', { ...take, ...randoms });
    this.#toClient = new AeadSeal('aes-128-gcm', secret, 'node to client', { ...take, ...randoms });
    socket.on('message', (datagram) => {
      // For somebody who shares the socket.
      if (datagram[0] === 0) return;
      for (const record of cutDatagram(datagram)) {
        if (record.type === SEALED && record.epoch === this.#epoch) {
          this.heard.push(this.#toClient.open(record, HEADER_BYTES));
        }
      }
    });
  }

  /** Secret, both. */
  get keys(): readonly Buffer[] {
    return [this.#toNode.key, this.#toClient.key];
  }

  /** The next record, with a payload for a target; `opening`: it shows C. */
  seal(type: 'opening' | 'sealed', target: Endpoint, payload: string): Buffer {
    const socks = encodeSocksDatagram(target.address, target.port, Buffer.from(payload));
    const content = Buffer.concat([Buffer.of(DATA), socks]);
    const random = type === 'opening' ? this.#clientRandom : Buffer.alloc(0);
    const sizeBytes = HEADER_BYTES + random.length + content.length + TAG_BYTES;
    const [association, epoch, sequence] = [this.#association, this.#epoch, this.#sequence];
    this.#sequence += 1n;
    const names = { type: type === 'opening' ? TAKE_OVER : SEALED, association, epoch, sequence };
    const clear = Buffer.concat([header(names, sizeBytes), random]);
    return this.#toNode.seal(clear, sequence, content);
  }

  send(bytes: Uint8Array, to = this.node): void {
    this.#socket.send(bytes, to.port, to.address);
  }

  close(): void {
    this.#socket.close();
  }
}
