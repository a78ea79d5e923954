import type { Endpoint } from '@argyle/host';
import { contains, parseAddress, parseNetwork, type Network } from '@argyle/host';

/**
 * Endpoints that are dialled for nobody, whatever the rules say: a node's own administration and
 * its group. Any of the machine's own addresses means them, and so does an unspecified one.
 */
export class ProtectedEndpoints {
  readonly #endpoints: readonly { readonly address: Network | undefined; readonly port: number }[];
  readonly #ownAddresses: () => readonly string[];

  /** `ownAddresses`: those of all interfaces now; asked only when a protected port is dialled. */
  constructor(endpoints: readonly Endpoint[], ownAddresses: () => readonly string[]) {
    this.#endpoints = endpoints.map(({ address, port }) => ({
      address: parseAddress(address),
      port,
    }));
    this.#ownAddresses = ownAddresses;
  }

  protects(address: Network, port: number): boolean {
    const same = this.#endpoints.filter((endpoint) => endpoint.port === port);
    if (same.length === 0) return false;
    if (this.#isOwn(address)) return same.some((own) => !own.address || this.#isOwn(own.address));
    return same.some((endpoint) => endpoint.address && contains(endpoint.address, address));
  }

  #isOwn(address: Network): boolean {
    if (OWN_BLOCKS.some((block) => contains(block, address))) return true;
    return this.#ownAddresses().some((text) => {
      const own = parseAddress(text);
      return own !== undefined && contains(own, address);
    });
  }
}

/** Loopback, and the unspecified addresses, which the system dials as loopback. */
const OWN_BLOCKS: readonly Network[] = ['127.0.0.0/8', '0.0.0.0/8', '::1/128', '::/128'].flatMap(
  (text) => parseNetwork(text) ?? [],
);
