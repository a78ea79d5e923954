import { Duplex } from 'node:stream';
import { parseAddress, formatAddress, type Cancel, type Endpoint, type Host } from '@argyle/host';
import { ConnectionTable } from './connection-table.ts';
import type { UdpOptions } from './options.ts';
import type { UdpCounters } from './udp-counters.ts';
import type { UdpRelay, UdpRelays } from './udp-relay.ts';

export interface ConventionalContext {
  readonly host: Host;
  readonly relays: Pick<UdpRelays, 'open'>;
  readonly counters: UdpCounters;
  readonly options: Pick<
    UdpOptions,
    'clear' | 'addresses' | 'associations' | 'associationsPerAddress' | 'idleMs'
  >;
  /** From the UDP port. */
  readonly send: (bytes: Uint8Array, to: Endpoint) => void;
}

export interface ConventionalRequest {
  readonly user: string | undefined;
  readonly groups: () => readonly string[];
  /** Where the connection that asks came from, and where it reached this node. */
  readonly address: string;
  readonly localAddress: string;
  /** Whether it came over TLS, so that its datagrams would be less safe than it is. */
  readonly secured: boolean;
  /** The port that it says it will send from; 0 if it does not say. */
  readonly port: number;
}

/** `stream`: its control connection, to be joined to the client's. */
export interface ConventionalGrant {
  readonly stream: Duplex;
  readonly endpoint: Endpoint;
}

interface Association {
  readonly address: string;
  /** Undefined until the first datagram shows it. */
  port: number | undefined;
  readonly relay: UdpRelay;
  usedAt: number;
}

/** The connection of a conventional association says nothing more: it only has to stay. */
class Quiet extends Duplex {
  override _read(): void {}

  override _write(_bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
  }

  override _final(done: () => void): void {
    this.push(null);
    done();
  }
}

/**
 * Associations of SOCKS5 as everybody speaks it (RFC 1928 §7): datagrams in clear, from the address
 * that the connection came from, for as long as that is open.
 */
export class ConventionalAssociations {
  readonly #context: ConventionalContext;
  readonly #seats: ConnectionTable;
  /** By address, the oldest first. */
  readonly #byAddress = new Map<string, Set<Association>>();
  #port = 0;

  constructor(context: ConventionalContext) {
    const { associations: connections, associationsPerAddress } = context.options;
    this.#context = context;
    this.#seats = new ConnectionTable({
      connections,
      connectionsPerAddress: associationsPerAddress,
    });
  }

  get size(): number {
    return this.#seats.seated;
  }

  /** Where clients send to. */
  listening(port: number): void {
    this.#port = port;
  }

  open(request: ConventionalRequest): ConventionalGrant | 'clear' | 'limit' | 'address-limit' {
    const { counters, options } = this.#context;
    const clear = request.secured && !options.clear;
    const seat = clear ? 'clear' : this.#seats.seat(request.address);
    if (typeof seat === 'string') {
      counters.conventional.add([seat]);
      return seat;
    }
    counters.conventional.add(['opened']);
    const association = this.#begin(request);
    const stream = new Quiet();
    const cancel = this.#watchIdle(association, stream);
    stream.once('close', () => {
      cancel();
      seat.release();
      this.#end(association);
    });
    return { stream, endpoint: { address: this.#ownAddress(request), port: this.#port } };
  }

  /** A datagram that begins as one of SOCKS does. */
  handleDatagram(bytes: Buffer, from: Endpoint): void {
    const association = this.#find(from);
    if (!association) {
      this.#context.counters.strangers += 1;
      return;
    }
    association.usedAt = this.#context.host.now();
    association.relay.handle(bytes);
  }

  #begin({ user, groups, address, port }: ConventionalRequest): Association {
    const { host, relays, send } = this.#context;
    const association: Association = {
      address: canonical(address),
      port: port === 0 ? undefined : port,
      usedAt: host.now(),
      relay: relays.open({
        ...{ user, groups, outgoingPort: 0, target: undefined, opened: () => undefined },
        received: (datagram) => {
          association.usedAt = host.now();
          if (association.port === undefined) return;
          send(datagram, { address: association.address, port: association.port });
        },
      }),
    };
    const siblings = this.#byAddress.get(association.address) ?? new Set();
    this.#byAddress.set(association.address, siblings.add(association));
    return association;
  }

  #find({ address, port }: Endpoint): Association | undefined {
    const siblings = this.#byAddress.get(canonical(address));
    if (!siblings) return undefined;
    let unbound: Association | undefined;
    for (const association of siblings) {
      if (association.port === port) return association;
      if (association.port === undefined) unbound ??= association;
    }
    if (unbound) unbound.port = port;
    return unbound;
  }

  #end(association: Association): void {
    association.relay.close();
    const siblings = this.#byAddress.get(association.address);
    if (!siblings?.delete(association)) return;
    if (siblings.size === 0) this.#byAddress.delete(association.address);
    this.#context.counters.conventional.add(['ended']);
  }

  #watchIdle(association: Association, stream: Duplex): Cancel {
    const { host, options, counters } = this.#context;
    let cancel: Cancel;
    const arm = () => {
      const leftMs = association.usedAt + options.idleMs - host.now();
      if (leftMs > 0) cancel = host.after(leftMs, arm);
      else {
        counters.conventional.add(['idle']);
        stream.destroy();
      }
    };
    cancel = host.after(options.idleMs, arm);
    return () => cancel();
  }

  #ownAddress({ localAddress, address }: ConventionalRequest): string {
    const client = parseAddress(address);
    const own = this.#context.options.addresses.find(
      (text) => parseAddress(text)?.bytes.length === client?.bytes.length,
    );
    return own ?? localAddress;
  }
}

/** As datagrams and connections may spell the same address. */
function canonical(address: string): string {
  const parsed = parseAddress(address.replace(/%.*$/, ''));
  return parsed ? formatAddress(parsed) : address;
}
