import { parseAddress, type Host, type Network } from '@argyle/host';
import { decodeSocksDatagram } from '@argyle/secure-udp';
import type { Filtering } from './options.ts';
import { SecondChance } from './second-chance.ts';
import type { UdpCounters } from './udp-counters.ts';
import type { UdpJudge, UdpUser } from './udp-judge.ts';
import { wayTo, type RelayDestination } from './udp-relay-destination.ts';
import type { Family } from './udp-relay-socket.ts';

export interface DestinationsOptions {
  readonly judge: UdpJudge;
  readonly who: UdpUser;
  readonly filtering: Filtering;
  /** How many are remembered; the oldest makes room. */
  readonly max: number;
  readonly counters: Pick<UdpCounters, 'refused'>;
  /** Whether datagrams of that family can be sent. */
  readonly reachable: (family: Family) => boolean;
  /** A name's address is known now: what waited for it goes there. */
  readonly found: (destination: RelayDestination, waiting: readonly Uint8Array[]) => void;
  /** One was forgotten: it, or its senders, may be let in no more. */
  readonly forgotten: (destination: RelayDestination) => void;
}

/** No resolver tells us for how long it may be believed. */
const NAME_KEPT_MS = 30_000;
/** A name without an address, or without an allowed one, is not asked for at once again. */
const NAME_REFUSED_MS = 2_000;
/** Datagrams that wait for one name, and names of one association that are looked up at once. */
const WAITING_MAX = 8;
const LOOKUPS_MAX = 8;

/** Where one association sends to: judged once each, and the filter that follows from it. */
export class RelayDestinations {
  readonly #host: Host;
  readonly #options: DestinationsOptions;
  readonly #remembered: SecondChance<string, RelayDestination>;
  /** How many of those remembered let a sender in, by `#peer`. */
  readonly #peers = new Map<string, number>();
  readonly #closed = new AbortController();
  #lookups = 0;

  constructor(host: Host, options: DestinationsOptions) {
    this.#host = host;
    this.#options = options;
    this.#remembered = new SecondChance(options.max, (one) => this.#forget(one));
  }

  get size(): number {
    return this.#remembered.size;
  }

  /** The one that a datagram names. `header`: its first bytes up to the data, with FRAG 0. */
  find(header: Buffer): RelayDestination {
    const key = header.toString('latin1');
    return this.#remembered.get(key) ?? this.#add(header, key);
  }

  /** Looks a name up again whose time is over; what is sent meanwhile goes where it went. */
  refresh(destination: RelayDestination): void {
    if (destination.until > this.#host.now() || destination.waiting) return;
    void this.#lookUp(destination);
  }

  /** Keeps data until the way is known, or drops it. */
  defer(destination: RelayDestination, data: Uint8Array): void {
    const { waiting, refusal } = destination;
    if (waiting && waiting.length < WAITING_MAX) waiting.push(data);
    else this.#options.counters.refused.add([waiting ? 'waiting' : (refusal ?? 'waiting')]);
  }

  /** Whether a sender's datagrams may reach the client (RFC 4787 §5). */
  accepts(sender: Network, port: number): boolean {
    if (this.#options.filtering === 'endpoint-independent') return true;
    return this.#peers.has(this.#peer(sender, port));
  }

  close(): void {
    this.#closed.abort();
  }

  #add(bytes: Buffer, key: string): RelayDestination {
    const header = Buffer.from(bytes);
    const named = decodeSocksDatagram(header);
    const { host, port } = typeof named === 'string' ? { host: '', port: 0 } : named;
    const destination: RelayDestination = {
      ...{ used: false, header, key, host, port, until: Infinity },
      ...{ way: undefined, refusal: undefined, waiting: undefined },
    };
    this.#remembered.add(key, destination);
    const address = parseAddress(host);
    if (port === 0) destination.refusal = 'port';
    else if (!address) destination.until = -Infinity;
    else if (this.#options.judge.allows(this.#options.who, undefined, address, port)) {
      this.#lead(destination, address);
    } else destination.refusal = 'rule';
    return destination;
  }

  async #lookUp(destination: RelayDestination): Promise<void> {
    const { judge, who, counters, found } = this.#options;
    if (this.#lookups >= LOOKUPS_MAX || judge.busy) return;
    const waiting: Uint8Array[] = [];
    destination.waiting = waiting;
    this.#lookups += 1;
    const addresses = await judge.find(who, destination, this.#closed.signal);
    this.#lookups -= 1;
    destination.waiting = undefined;
    if (this.#closed.signal.aborted || !this.#isRemembered(destination)) {
      counters.refused.add(['waiting'], waiting.length);
      return;
    }
    if (typeof addresses === 'string') this.#refuse(destination, addresses === 'not-allowed');
    else this.#choose(destination, addresses);
    if (destination.way) found(destination, waiting);
    else counters.refused.add([destination.refusal ?? 'waiting'], waiting.length);
  }

  /** Where it went, if it still may; else the first that can be reached. */
  #choose(destination: RelayDestination, addresses: readonly Network[]): void {
    destination.until = this.#host.now() + NAME_KEPT_MS;
    destination.refusal = undefined;
    const { way } = destination;
    if (way && addresses.some((one) => isSame(one, way.address))) return;
    const [first] = addresses;
    const reachable = ({ bytes }: Network) => this.#options.reachable(bytes.length === 4 ? 4 : 6);
    const chosen = addresses.find(reachable) ?? first;
    this.#leave(destination);
    if (chosen) this.#lead(destination, chosen);
  }

  /** A name server that fails for a moment ends nothing; an answer that is not allowed does. */
  #refuse(destination: RelayDestination, byRule: boolean): void {
    destination.until = this.#host.now() + NAME_REFUSED_MS;
    if (destination.way && !byRule) return;
    this.#leave(destination);
    destination.refusal = byRule ? 'rule' : 'name';
  }

  #lead(destination: RelayDestination, address: Network): void {
    destination.way = wayTo(address, destination.port);
    const peer = this.#peer(address, destination.port);
    this.#peers.set(peer, (this.#peers.get(peer) ?? 0) + 1);
  }

  #leave(destination: RelayDestination): void {
    const { way, port } = destination;
    if (!way) return;
    destination.way = undefined;
    const peer = this.#peer(way.address, port);
    const count = (this.#peers.get(peer) ?? 0) - 1;
    if (count > 0) this.#peers.set(peer, count);
    else this.#peers.delete(peer);
    this.#options.forgotten(destination);
  }

  #forget(destination: RelayDestination): void {
    this.#leave(destination);
    this.#options.forgotten(destination);
  }

  #isRemembered({ key }: RelayDestination): boolean {
    return this.#remembered.get(key) !== undefined;
  }

  #peer({ bytes }: Network, port: number): string {
    const address = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    return this.#options.filtering === 'address-and-port-dependent' ? `${address}${port}` : address;
  }
}

function isSame(a: Network, b: Network): boolean {
  return a.bytes.length === b.bytes.length && a.bytes.every((byte, at) => byte === b.bytes[at]);
}
