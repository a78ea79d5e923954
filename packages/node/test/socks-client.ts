import type { ConnectionOptions } from 'node:tls';
import { CHUNK_HEADER_BYTES, ChunkKind, TUNNEL_MAX, type ChunkKindName } from '@argyle/host';
import { parseAddress } from '@argyle/host';
import { ALPN_PROTOCOL } from '../src/secure-connection.ts';
import type { ByteClient } from './byte-client.ts';
import type { Pki } from './pki.ts';
import { TlsClient } from './tls-client.ts';

export const OURS: ConnectionOptions = { ALPNProtocols: [ALPN_PROTOCOL] };
/** Any other program: its tunnel is the rest of its connection. */
export const CONVENTIONAL: ConnectionOptions = {};
export const NONE = 0x00;
export const PASSWORD = 0x02;

/** The client's side of SOCKS5, one step at a time. */
export class SocksClient<Client extends ByteClient = TlsClient> {
  /** TLS, or what is in place of it. */
  readonly tls: Client;
  /** The newest. */
  #tunnel = 0;

  constructor(tls: Client) {
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

  /** The (first) reply's code and the bound address. */
  async request(command: number, destination: string, port: number) {
    this.tls.write(requestBytes(command, destination, port));
    return this.reply();
  }

  /** The one reply, or of a BIND each. */
  async reply() {
    const [, code = -1, , type] = await this.tls.read(4);
    const address = await this.tls.read(type === 4 ? 16 : 4);
    const boundPort = (await this.tls.read(2)).readUInt16BE();
    return { code, address, port: boundPort };
  }

  /** A chunk of a tunnel: DATA, and END without payload. */
  chunk(payload = '', tunnel = this.#tunnel): void {
    this.sendChunk(payload === '' ? 'end' : 'data', tunnel, Buffer.from(payload));
  }

  sendChunk(kind: ChunkKindName, tunnel: number, payload: Uint8Array = Buffer.alloc(0)): void {
    this.tls.write(chunkBytes(kind, tunnel, payload));
  }

  async nextChunk(): Promise<{ kind: ChunkKindName; tunnel: number; payload: Buffer }> {
    const header = await this.tls.read(CHUNK_HEADER_BYTES);
    const kind = KINDS[header[0] ?? -1];
    if (!kind) throw new Error('this is no chunk');
    const payload = await this.tls.read(header.readUInt32BE(4));
    return { kind, tunnel: header.readUInt32BE() & TUNNEL_MAX, payload };
  }

  /** A new tunnel; the code of the reply. Nothing else is under way. */
  async open(destination: string, port: number, command = 1): Promise<number> {
    this.#tunnel += 1;
    this.sendChunk('request', this.#tunnel, requestBytes(command, destination, port));
    const { kind, tunnel, payload } = await this.nextChunk();
    if (kind !== 'reply' || tunnel !== this.#tunnel) throw new Error(`${kind} of ${tunnel}`);
    return payload[1] ?? -1;
  }

  end(): void {
    this.tls.end();
  }
}

const KINDS = Object.keys(ChunkKind) as readonly ChunkKindName[];

export function chunkBytes(kind: ChunkKindName, tunnel: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(CHUNK_HEADER_BYTES);
  header.writeUInt32BE(ChunkKind[kind] * 2 ** 24 + tunnel);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

export function requestBytes(command: number, destination: string, port: number): Buffer {
  const address = parseAddress(destination);
  const name = Buffer.from(destination);
  const target = address
    ? Buffer.concat([Buffer.of(address.bytes.length === 4 ? 1 : 4), address.bytes])
    : Buffer.concat([Buffer.of(3, name.length), name]);
  return Buffer.concat([Buffer.of(5, command, 0), target, Buffer.of(port >> 8, port & 0xff)]);
}
