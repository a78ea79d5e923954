import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

const HEADER_BYTES = 12;
const QUESTION_TAIL_BYTES = 4;
/** RFC 1035 §4.1.1: an authoritative response without an error. */
const FLAGS = 0x8400;
/** RFC 1035 §4.1.4: the name of the first question. */
const NAME_OF_QUESTION = 0xc00c;
const TYPE_A = 1;
const CLASS_IN = 1;

/** A name server (RFC 1035) that answers every question with one IPv4 address. */
export class DnsServer {
  /** Questions by where they came from. */
  readonly askedBy = new Map<string, number>();
  readonly #socket: Socket;
  readonly #address: Buffer;

  static async open(address: string): Promise<DnsServer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new DnsServer(socket, address);
  }

  private constructor(socket: Socket, address: string) {
    this.#socket = socket;
    this.#address = Buffer.from(address.split('.').map(Number));
    socket.on('message', (query, from) => {
      const key = `${from.address}:${from.port}`;
      this.askedBy.set(key, (this.askedBy.get(key) ?? 0) + 1);
      const answer = this.#answer(query);
      if (answer) socket.send(answer, from.port, from.address);
    });
  }

  get port(): number {
    return (this.#socket.address() as AddressInfo).port;
  }

  close(): void {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer | undefined {
    const nameEnd = query.indexOf(0, HEADER_BYTES) + 1;
    const questionEnd = nameEnd + QUESTION_TAIL_BYTES;
    if (nameEnd === 0 || query.length < questionEnd) return undefined;
    const header = Buffer.alloc(HEADER_BYTES);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(FLAGS, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(1, 6);
    const record = Buffer.alloc(HEADER_BYTES);
    record.writeUInt16BE(NAME_OF_QUESTION, 0);
    record.writeUInt16BE(TYPE_A, 2);
    record.writeUInt16BE(CLASS_IN, 4);
    record.writeUInt16BE(this.#address.length, 10);
    return Buffer.concat([
      header,
      query.subarray(HEADER_BYTES, questionEnd),
      record,
      this.#address,
    ]);
  }
}
