import { isIPv4 } from 'node:net';
import type { ClientConnection } from './client-connection.ts';
import { formatAddress, parseAddress } from '@argyle/host';

/** A place among a node's connections, held from the first byte to the last. */
export interface Seat {
  /** The client's address as limits count it: IPv4 whole, IPv6 by its /64. */
  readonly address: string;
  release(): void;
}

/** The connections of a node: how many there are, and which one is whose. */
export class ConnectionTable {
  readonly #max: number;
  readonly #maxPerAddress: number;
  readonly #seats = new Map<string, number>();
  readonly #open = new Set<ClientConnection>();
  readonly #byLineage = new Map<string, Set<ClientConnection>>();
  #seated = 0;

  constructor(limits: { connections: number; connectionsPerAddress: number }) {
    this.#max = limits.connections;
    this.#maxPerAddress = limits.connectionsPerAddress;
  }

  get seated(): number {
    return this.#seated;
  }

  get open(): ReadonlySet<ClientConnection> {
    return this.#open;
  }

  seat(remoteAddress: string): Seat | 'limit' | 'address-limit' {
    const address = countedAddress(remoteAddress);
    const count = this.#seats.get(address) ?? 0;
    if (this.#seated >= this.#max) return 'limit';
    if (count >= this.#maxPerAddress) return 'address-limit';
    this.#seated += 1;
    this.#seats.set(address, count + 1);
    let held = true;
    const release = () => {
      if (held) this.#release(address);
      held = false;
    };
    return { address, release };
  }

  add(connection: ClientConnection): void {
    this.#open.add(connection);
    if (!connection.lineage) return;
    const lineage = hex(connection.lineage);
    const siblings = this.#byLineage.get(lineage) ?? new Set();
    this.#byLineage.set(lineage, siblings.add(connection));
  }

  remove(connection: ClientConnection): void {
    this.#open.delete(connection);
    if (!connection.lineage) return;
    const lineage = hex(connection.lineage);
    const siblings = this.#byLineage.get(lineage);
    siblings?.delete(connection);
    if (siblings?.size === 0) this.#byLineage.delete(lineage);
  }

  ofLineage(lineage: Uint8Array): readonly ClientConnection[] {
    return [...(this.#byLineage.get(hex(lineage)) ?? [])];
  }

  ofUsers(users: readonly string[]): readonly ClientConnection[] {
    const wanted = new Set<string | undefined>(users);
    wanted.delete(undefined);
    return [...this.#open].filter(
      ({ admission, known }) => wanted.has(admission?.user) || wanted.has(known?.user),
    );
  }

  /** Those that resumed or made it. */
  ofSession(id: Uint8Array): readonly ClientConnection[] {
    const wanted = Buffer.from(id);
    return [...this.#open].filter(({ sessionIds }) => sessionIds.some((own) => wanted.equals(own)));
  }

  #release(address: string): void {
    this.#seated -= 1;
    const count = (this.#seats.get(address) ?? 0) - 1;
    if (count > 0) this.#seats.set(address, count);
    else this.#seats.delete(address);
  }
}

/** Whoever has one IPv6 address has the rest of its /64 too. */
const COUNTED_IPV6_BYTES = 8;

function countedAddress(text: string): string {
  if (isIPv4(text)) return text;
  const address = parseAddress(text.replace(/%.*$/, ''));
  if (!address) return text;
  if (address.bytes.length === 4) return formatAddress(address);
  return hex(address.bytes.subarray(0, COUNTED_IPV6_BYTES));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
