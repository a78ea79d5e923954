import type { Socket } from 'node:net';
import type { Admission, ClientConnection } from './client-connection.ts';
import { contains, parseAddress, parseNetwork, type Network } from '@argyle/host';
import { NodeError } from './node-error.ts';

/** The first byte of SOCKS5 (RFC 1928 §3), where TLS has 0x16. */
export const PLAIN_FIRST_BYTE = 0x05;

/** A client that speaks SOCKS5 without TLS: it has no session, no lineage and no certificate. */
export class PlainConnection implements ClientConnection {
  readonly socket: Socket;
  readonly address: string;
  readonly speaksArgyle = false;
  readonly known = undefined;
  readonly lineage = undefined;
  readonly sessionIds = [];
  #admission: Admission | undefined;

  /** The socket is paused and holds all that has come. `address`: as limits count it. */
  constructor(socket: Socket, address: string) {
    socket.allowHalfOpen = true;
    this.socket = socket;
    this.address = address;
  }

  get admission(): Admission | undefined {
    return this.#admission;
  }

  exported(): Uint8Array {
    return new Uint8Array();
  }

  admit(admission: Admission): Promise<undefined> {
    this.#admission = admission;
    return Promise.resolve(undefined);
  }

  cut(): void {
    this.socket.destroy();
  }
}

/** The networks whose clients may speak without TLS. */
export class PlainSources {
  readonly #networks: readonly Network[];

  /** Throws a NodeError for what is no network. */
  constructor(networks: readonly string[]) {
    this.#networks = networks.map((text) => {
      const network = parseNetwork(text);
      if (network) return network;
      const wanted = 'wanted a network such as 10.0.0.0/8';
      throw new NodeError('bad-network', `socks.plainFrom: ${wanted}, found ${text}`);
    });
  }

  include(remoteAddress: string | undefined): boolean {
    const source = parseAddress(remoteAddress?.replace(/%.*$/, '') ?? '');
    return source !== undefined && this.#networks.some((network) => contains(network, source));
  }
}
