import type { ConnectionOptions } from 'node:tls';
import { parseAddress } from '../src/network.ts';
import { ALPN_PROTOCOL } from '../src/secure-connection.ts';
import type { Pki } from './pki.ts';
import { TlsClient } from './tls-client.ts';

export const OURS: ConnectionOptions = { ALPNProtocols: [ALPN_PROTOCOL] };
/** Any other program: its tunnel is the rest of its connection. */
export const CONVENTIONAL: ConnectionOptions = {};
export const NONE = 0x00;
export const PASSWORD = 0x02;

/** The client's side of SOCKS5, one step at a time. */
export class SocksClient {
  readonly tls: TlsClient;

  constructor(tls: TlsClient) {
    this.tls = tls;
  }

  static async connect(pki: Pki, port: number, options: ConnectionOptions = OURS) {
    return new SocksClient(await TlsClient.connect(pki, port, options));
  }

  /** The method that the node chose. */
  async greet(...methods: number[]): Promise<number> {
    this.tls.write([5, methods.length, ...methods]);
    const [version, method = -1] = await this.tls.read(2);
    if (version !== 5) throw new Error(`version ${version}`);
    return method;
  }

  /** The status of RFC 1929; 0 is success. */
  async login(user: string, password: string): Promise<number> {
    const [name, secret] = [Buffer.from(user), Buffer.from(password)];
    this.tls.write(
      Buffer.concat([Buffer.of(1, name.length), name, Buffer.of(secret.length), secret]),
    );
    const [, status = -1] = await this.tls.read(2);
    return status;
  }

  /** The reply's code and the bound address. */
  async request(command: number, destination: string, port: number) {
    this.tls.write(requestBytes(command, destination, port));
    const [, code = -1, , type] = await this.tls.read(4);
    const address = await this.tls.read(type === 4 ? 16 : 4);
    const boundPort = (await this.tls.read(2)).readUInt16BE();
    return { code, address, port: boundPort };
  }

  /** A chunk of a tunnel; END without payload. */
  chunk(payload = ''): void {
    const kind = payload === '' ? 1 : 0;
    this.tls.write(Buffer.concat([Buffer.of(kind, 0, 0, payload.length), Buffer.from(payload)]));
  }

  /** The payload of the next chunk; empty for END. */
  async nextChunk(): Promise<string> {
    const header = (await this.tls.read(4)).readUInt32BE();
    const sizeBytes = header & 0xffffff;
    if (header >>> 24 !== (sizeBytes === 0 ? 1 : 0)) throw new Error('this is no chunk');
    return String(await this.tls.read(sizeBytes));
  }

  end(): void {
    this.tls.end();
  }
}

export function requestBytes(command: number, destination: string, port: number): Buffer {
  const address = parseAddress(destination);
  const name = Buffer.from(destination);
  const target = address
    ? Buffer.concat([Buffer.of(address.bytes.length === 4 ? 1 : 4), address.bytes])
    : Buffer.concat([Buffer.of(3, name.length), name]);
  return Buffer.concat([Buffer.of(5, command, 0), target, Buffer.of(port >> 8, port & 0xff)]);
}
