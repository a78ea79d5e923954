import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect, type ConnectionOptions } from 'node:tls';
import type { AbusedCluster } from './abused-cluster.ts';

/** RFC 8446 §4.1.3: the random of a ServerHello that is a HelloRetryRequest. */
const RETRY_RANDOM = Buffer.from(
  'cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c',
  'hex',
);

/** A TCP connection that lets only the first bytes out, in pieces. */
class CutWire extends Duplex {
  sentBytes = 0;
  helloBytes = 0;
  retried = false;
  readonly #socket: Socket;
  readonly #cut: number;
  readonly #pieceBytes: number;
  readonly #stopped: () => void;

  constructor(socket: Socket, cut: number, pieceBytes: number, stopped: () => void) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#cut = cut;
    this.#pieceBytes = pieceBytes;
    this.#stopped = stopped;
    socket.on('data', (bytes: Buffer) => {
      this.retried ||= bytes.includes(RETRY_RANDOM);
      this.push(bytes);
    });
    socket.on('error', () => undefined).on('end', () => this.push(null));
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, written: () => void): void {
    this.helloBytes ||= bytes.length;
    const left = this.#cut - this.sentBytes;
    const sent = bytes.subarray(0, left);
    for (let at = 0; at < sent.length; at += this.#pieceBytes) {
      this.#socket.write(sent.subarray(at, at + this.#pieceBytes));
    }
    this.sentBytes += sent.length;
    if (bytes.length >= left) this.#stopped();
    else written();
  }
}

export interface CutHandshake {
  /** Both sides have ended it. */
  readonly secure: boolean;
  readonly retried: boolean;
  readonly sentBytes: number;
  /** The first flight's size, whether it was sent or not. */
  readonly helloBytes: number;
}

/** A handshake whose client falls silent after that many bytes, and then leaves or does not. */
export async function cutHandshake(
  cluster: AbusedCluster,
  options: ConnectionOptions,
  cut: number,
  pieceBytes: number,
  ending: 'fin' | 'reset' | 'silence' = 'fin',
): Promise<CutHandshake> {
  const raw = connectTcp({ port: cluster.nodePort, host: '127.0.0.1', noDelay: true });
  await once(raw, 'connect');
  const over = once(raw, 'close');
  const wire = new CutWire(raw, cut, pieceBytes, () => {
    if (ending === 'fin') raw.end();
    else if (ending === 'reset') raw.resetAndDestroy();
  });
  const tls = connect({ socket: wire, ca: cluster.ca, servername: 'argyle.cluster', ...options });
  let secure = false;
  let sentBytes = 0;
  tls.on('error', () => undefined);
  // A ticket proves that the node has ended it too; in TLS 1.2 the node's Finished does.
  tls.once('session', () => {
    secure = true;
    sentBytes = wire.sentBytes;
    raw.end();
  });
  raw.resume();
  await over;
  tls.destroy();
  wire.destroy();
  const { retried, helloBytes } = wire;
  return { secure, retried, sentBytes: sentBytes || wire.sentBytes, helloBytes };
}
