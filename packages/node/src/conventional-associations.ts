import { Duplex } from 'node:stream';
import { isIPv4 } from 'node:net';
import { parseAddress, type Cancel, type Endpoint, type Host, type Log } from '@argyle/host';
import { socksHeaderBytes } from '@argyle/secure-udp';
import { ConnectionTable } from './connection-table.ts';
import type { UdpOptions } from './options.ts';
import type { UdpCounters } from './udp-counters.ts';
import type { UdpRelay } from './udp-relay.ts';
import type { UdpRelays } from './udp-relays.ts';

export interface ConventionalContext {
  readonly host: Host;
  readonly log: Log;
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

/** Said once; counted each time. */
const CLEAR_REFUSED =
  'a conventional client over TLS was refused: its datagrams would be in clear (socks.udp.clear)';

/** `clear`: it came over TLS. `port`: another association of that address sends from there. */
export type ConventionalRefusal = 'clear' | 'port' | 'limit' | 'address-limit';

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

/** One that is open. */
export interface ConventionalAssociation {
  readonly user: string | undefined;
  /** Where its datagrams come from, spelt as datagrams spell it. */
  readonly address: string;
  /** The same with its port; undefined until the first datagram shows it. */
  readonly client: Endpoint | undefined;
  readonly relay: Pick<UdpRelay, 'outgoingPort'>;
  /** Monotonic: when it was opened, and when its last datagram came, either way. */
  readonly since: number;
  readonly usedAt: number;
}

interface Association extends ConventionalAssociation {
  client: Endpoint | undefined;
  usedAt: number;
  readonly relay: UdpRelay;
}

/** Those of one client address: by port, and those whose port is not known yet, oldest first. */
interface Siblings {
  readonly byPort: Map<number, Association>;
  readonly unbound: Set<Association>;
}

/**
 * Associations of SOCKS5 as everybody speaks it (RFC 1928 §7): datagrams in clear, from the address
 * that the connection came from, for as long as that is open. Several clients may share an address;
 * whoever has not said which port it sends from gets the first that nobody else has.
 */
export class ConventionalAssociations {
  readonly #context: ConventionalContext;
  readonly #seats: ConnectionTable;
  readonly #byAddress = new Map<string, Siblings>();
  readonly #open = new Set<Association>();
  #port = 0;
  #clearTold = false;

  constructor(context: ConventionalContext) {
    const { associations: connections, associationsPerAddress } = context.options;
    this.#context = context;
    this.#seats = new ConnectionTable({
      connections,
      connectionsPerAddress: associationsPerAddress,
    });
  }

  get size(): number {
    return this.#open.size;
  }

  get open(): Iterable<ConventionalAssociation> {
    return this.#open;
  }

  /** Where clients send to. */
  listening(port: number): void {
    this.#port = port;
  }

  begin(request: ConventionalRequest): ConventionalGrant | ConventionalRefusal {
    const seat = this.#refusal(request) ?? this.#seats.seat(request.address);
    if (typeof seat === 'string') {
      this.#context.counters.conventional.add([seat]);
      return seat;
    }
    this.#context.counters.conventional.add(['opened']);
    const association = this.#begin(request);
    const stream = new Quiet();
    const cancel = this.#watchIdle(association, () => stream.destroy());
    stream.once('close', () => {
      cancel();
      seat.release();
      this.#end(association);
    });
    return { stream, endpoint: { address: this.#ownAddress(request), port: this.#port } };
  }

  /** A datagram that begins as one of SOCKS does. */
  handleDatagram(bytes: Buffer, from: Endpoint): void {
    const siblings = this.#byAddress.get(from.address);
    const association = siblings && (siblings.byPort.get(from.port) ?? bind(siblings, bytes, from));
    if (!association) {
      this.#context.counters.strangers += 1;
      return;
    }
    association.usedAt = this.#context.host.now();
    association.relay.handle(bytes);
  }

  #refusal({ secured, address, port }: ConventionalRequest): 'clear' | 'port' | undefined {
    const { options, log } = this.#context;
    if (secured && !options.clear) {
      if (!this.#clearTold) log.warn({ event: 'udp-clear' }, CLEAR_REFUSED);
      this.#clearTold = true;
      return 'clear';
    }
    const known = this.#byAddress.get(spelt(address));
    return known?.byPort.has(port) ? 'port' : undefined;
  }

  #begin({ user, groups, address, port }: ConventionalRequest): Association {
    const { host, relays, send } = this.#context;
    const from = spelt(address);
    const relay = relays.open({
      ...{ user, groups, outgoingPort: 0, target: undefined, opened: () => undefined },
      received: (datagram) => {
        association.usedAt = host.now();
        if (association.client) send(datagram, association.client);
      },
    });
    const now = host.now();
    const association: Association = {
      ...{ user, relay, address: from, since: now, usedAt: now },
      client: port === 0 ? undefined : { address: from, port },
    };
    this.#open.add(association);
    const siblings = this.#byAddress.get(from) ?? { byPort: new Map(), unbound: new Set() };
    this.#byAddress.set(from, siblings);
    if (port === 0) siblings.unbound.add(association);
    else siblings.byPort.set(port, association);
    return association;
  }

  #end(association: Association): void {
    association.relay.close();
    const { address, client } = association;
    this.#open.delete(association);
    const siblings = this.#byAddress.get(address);
    if (client) siblings?.byPort.delete(client.port);
    siblings?.unbound.delete(association);
    if (siblings?.byPort.size === 0 && siblings.unbound.size === 0) this.#byAddress.delete(address);
    this.#context.counters.conventional.add(['ended']);
  }

  #watchIdle(association: Association, idle: () => void): Cancel {
    const { host, options, counters } = this.#context;
    let cancel: Cancel;
    const arm = () => {
      const leftMs = association.usedAt + options.idleMs - host.now();
      if (leftMs > 0) cancel = host.after(leftMs, arm);
      else {
        counters.conventional.add(['idle']);
        idle();
      }
    };
    cancel = host.after(options.idleMs, arm);
    return () => cancel();
  }

  #ownAddress({ localAddress, address }: ConventionalRequest): string {
    const client = parseAddress(spelt(address));
    const own = this.#context.options.addresses.find(
      (text) => parseAddress(text)?.bytes.length === client?.bytes.length,
    );
    return own ?? spelt(localAddress);
  }
}

/** Only for a datagram that makes sense: noise takes nobody's port. */
function bind({ byPort, unbound }: Siblings, bytes: Buffer, from: Endpoint) {
  const [oldest] = unbound;
  if (!oldest || typeof socksHeaderBytes(bytes) === 'string') return undefined;
  unbound.delete(oldest);
  byPort.set(from.port, oldest);
  oldest.client = { address: from.address, port: from.port };
  return oldest;
}

/** A connection's address as a datagram from there has it: without the prefix of mapped ones. */
function spelt(address: string): string {
  const ipv4 = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : '';
  return isIPv4(ipv4) ? ipv4 : address;
}

/** RFC 4291 §2.5.5.2, as sockets of both families spell IPv4. */
const MAPPED = '::ffff:';
