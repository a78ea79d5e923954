import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Endpoint } from '@argyle/host';
import { decodeSocksDatagram, encodeSocksDatagram } from '@argyle/secure-udp';
import { until } from './real-cluster.ts';
import type { Login } from './control-client.ts';

const UDP_ASSOCIATE = 3;
const METHOD_NONE = 0;
const METHOD_PASSWORD = 2;
const LOOPBACK = '127.0.0.1';
const ANSWER_MS = 10_000;
const FRAGMENT_AT = 2;

export interface SocksWay {
  /** Loopback otherwise; then its socket has to be said too. */
  readonly host?: string;
  readonly port: number;
  /** Otherwise it asks without one. */
  readonly login?: Login;
  /** It comes over TLS, signed by this authority. */
  readonly ca?: string;
  /** Where its datagrams come from; its own otherwise. It is told to the server. */
  readonly socket?: DatagramSocket;
}

/** A SOCKS5 client of any make with one UDP ASSOCIATE (RFC 1928 §7). */
export class SocksDatagrams {
  /** What came, as text. */
  readonly got: string[] = [];
  readonly #connection: Socket;
  readonly #socket: DatagramSocket;
  readonly #relay: Endpoint;

  /** Throws if it is refused. */
  static async open(way: SocksWay): Promise<SocksDatagrams> {
    const { host = LOOPBACK, port, login, ca } = way;
    const own = way.socket ?? (await openSocket());
    const connection = ca
      ? connectTls({ host, port, ca, servername: 'argyle.cluster' })
      : connect(port, host);
    await once(connection, ca ? 'secureConnect' : 'connect');
    const read = reader(connection);
    connection.write(Buffer.of(5, 1, login ? METHOD_PASSWORD : METHOD_NONE));
    await read(2);
    if (login) {
      const [name, word] = [Buffer.from(login.user), Buffer.from(login.password)];
      const said = [Buffer.of(1, name.length), name, Buffer.of(word.length), word];
      connection.write(Buffer.concat(said));
      const [, status] = await read(2);
      if (status !== 0) throw new Error(`the login of ${login.user} is refused`);
    }
    const from = own.address().port;
    connection.write(Buffer.of(5, UDP_ASSOCIATE, 0, 1, 0, 0, 0, 0, from >> 8, from & 0xff));
    const reply = await read(10);
    if (reply[1] !== 0) throw new Error(`reply ${reply[1]}`);
    const address = [...reply.subarray(4, 8)].join('.');
    return new SocksDatagrams(connection, own, { address, port: reply.readUInt16BE(8) });
  }

  private constructor(connection: Socket, socket: DatagramSocket, relay: Endpoint) {
    this.#connection = connection;
    this.#socket = socket;
    this.#relay = relay;
    socket.on('message', (bytes) => {
      const read = decodeSocksDatagram(bytes);
      if (typeof read !== 'string') this.got.push(read.data.toString());
    });
  }

  send(target: Endpoint, text: string | Buffer, fragment = 0): void {
    const bytes = encodeSocksDatagram(target.address, target.port, Buffer.from(text));
    bytes[FRAGMENT_AT] = fragment;
    this.#socket.send(bytes, this.#relay.port, this.#relay.address);
  }

  close(): void {
    this.#connection.destroy();
    this.#socket.close();
  }
}

async function openSocket(): Promise<DatagramSocket> {
  const socket = createSocket('udp4').bind(0, LOOPBACK);
  await once(socket, 'listening');
  return socket;
}

/** Answers so many bytes of what comes, in order. */
function reader(connection: Socket): (sizeBytes: number) => Promise<Buffer> {
  let heard = Buffer.alloc(0);
  connection.on('data', (bytes: Buffer) => (heard = Buffer.concat([heard, bytes])));
  connection.on('error', () => undefined);
  return async (sizeBytes) => {
    await until('the server answers', ANSWER_MS, () => heard.length >= sizeBytes);
    const bytes = heard.subarray(0, sizeBytes);
    heard = heard.subarray(sizeBytes);
    return bytes;
  };
}
