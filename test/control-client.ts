import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { Carrier, FrameStream } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import {
  decodeControl,
  encodeUdpRequest,
  type EndReason,
  type Grant,
  type UdpRequest,
} from '@argyle/secure-udp';
import type { RealCluster } from './real-cluster.ts';

const EXPORTER_LABEL = 'EXPORTER argyle udp adopt 1';
const METHOD_PASSWORD = 2;
const METHOD_NONE = 0;

export interface Login {
  readonly user: string;
  readonly password: string;
}

/** A client's TLS connection to a node, by hand: at most one association is asked for on it. */
export class ControlClient {
  /** What the node has said of the association. */
  grant: Grant | undefined;
  ended: EndReason | undefined;
  /** The tunnel, or the connection, is gone. */
  closed = false;
  readonly #tls: TLSSocket;
  readonly #carrier: Carrier;

  /** Logged in. */
  static async connect(
    cluster: RealCluster,
    index: number,
    { user, password }: Login,
  ): Promise<ControlClient> {
    const tls = connect({
      ...{ host: '127.0.0.1', port: cluster.nodePort(index), ca: cluster.read('ca.pem') },
      ...{ servername: 'argyle.cluster', ALPNProtocols: ['argyle/1'] },
    });
    await once(tls, 'secureConnect');
    tls.on('error', () => undefined);
    const [, method] = await answer(tls, Buffer.of(5, 2, METHOD_NONE, METHOD_PASSWORD));
    if (method !== METHOD_PASSWORD) throw new Error(`method ${method}`);
    const [name, word] = [Buffer.from(user), Buffer.from(password)];
    const said = [Buffer.of(1, name.length), name, Buffer.of(word.length), word];
    const [, status] = await answer(tls, Buffer.concat(said));
    if (status !== 0) throw new Error(`the login of ${user} is refused`);
    return new ControlClient(tls);
  }

  private constructor(tls: TLSSocket) {
    this.#tls = tls;
    this.#carrier = new Carrier(new SystemHost(), tls, { lost: () => (this.closed = true) });
  }

  /** What an adoption on this connection is bound to. */
  get exported(): Buffer {
    return this.#tls.exportKeyingMaterial(32, EXPORTER_LABEL, Buffer.alloc(0));
  }

  /** The reply's code: 0 is success, after which the grant follows. */
  async ask(request: UdpRequest): Promise<number> {
    const tunnel = this.#carrier.request(encodeUdpRequest(request));
    const reply = await tunnel.replied;
    if (!reply) throw new Error('no reply');
    if (reply[1] !== 0) return reply[1] ?? -1;
    const granted = Promise.withResolvers<void>();
    const frames = new FrameStream({
      frame: (bytes) => {
        const message = decodeControl(bytes);
        if (message?.kind === 'grant') this.grant = message.grant;
        if (message?.kind === 'ended') this.ended = message.reason;
        granted.resolve();
      },
      ended: () => (this.closed = true),
    });
    frames.once('close', () => (this.closed = true));
    tunnel.join(frames, { idleMs: Infinity });
    if (request.kind !== 'adopt') await granted.promise;
    return 0;
  }

  close(): void {
    this.#tls.destroy();
  }
}

/** Two bytes, as both answers of a login are. */
async function answer(tls: TLSSocket, words: Uint8Array): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let heard: Buffer = Buffer.alloc(0);
  const take = (bytes: Buffer) => {
    heard = Buffer.concat([heard, bytes]);
    if (heard.length >= 2) resolve(heard);
  };
  const closed = () => reject(new Error('closed before it answered'));
  tls.on('data', take).once('close', closed);
  tls.write(words);
  try {
    return await promise;
  } finally {
    tls.off('data', take).off('close', closed);
  }
}
