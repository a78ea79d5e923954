import { isIPv6 } from 'node:net';
import { formatAddress, parseAddress, type Cancel, type Endpoint, type Host } from '@argyle/host';
import { decodeSocksDatagram, encodeSocksDatagram, type SocksDatagram } from '@argyle/secure-udp';
import type { UdpOptions } from './options.ts';
import { Reassembly } from './reassembly.ts';
import type { UdpCounters } from './udp-counters.ts';
import {
  UdpDestinations,
  type Judgement,
  type UdpDestinationsOptions,
} from './udp-destinations.ts';
import { UdpSocket } from './udp-socket.ts';

export interface RelayRequest {
  readonly user: string | undefined;
  readonly groups: () => readonly string[];
  /** The port that it would like to send from; 0 for any. */
  readonly outgoingPort: number;
  /** The only one that it may have. */
  readonly target: { readonly host: string; readonly port: number } | undefined;
  /** A SOCKS datagram for the client. */
  readonly received: (datagram: Buffer) => void;
  /** It sends from there. */
  readonly opened: (port: number) => void;
}

type RelayOptions = Pick<UdpOptions, 'filtering' | 'ports' | 'destinations'>;

export interface UdpRelaysOptions extends UdpDestinationsOptions, RelayOptions {
  readonly counters: UdpCounters;
}

/** An address of a name is asked for again after so long. */
const NAME_MS = 60_000;
/** Between two tries to open a socket. */
const RETRY_MS = 1_000;
/** Datagrams that wait for one name. */
const WAITING_MAX = 16;

/** Makes the ways of associations to their targets. */
export class UdpRelays {
  readonly #host: Host;
  readonly #options: UdpRelaysOptions;
  readonly #destinations: UdpDestinations;
  #size = 0;

  constructor(host: Host, options: UdpRelaysOptions) {
    this.#host = host;
    this.#options = options;
    this.#destinations = new UdpDestinations(host, options);
  }

  /** Relays that are open. */
  get size(): number {
    return this.#size;
  }

  open(request: RelayRequest): UdpRelay {
    this.#size += 1;
    return new UdpRelay(this.#host, {
      ...{ ...this.#options, ...request, judge: (wanted) => this.#destinations.judge(wanted) },
      closed: () => (this.#size -= 1),
    });
  }

  /** Whether there is such a target, and it is allowed. */
  async judge(
    target: { readonly host: string; readonly port: number },
    who: Pick<RelayRequest, 'user' | 'groups'> & { readonly left: AbortSignal },
  ): Promise<boolean> {
    const { user, left: signal } = who;
    const wanted = { ...target, user, groups: who.groups(), signal };
    return typeof (await this.#destinations.judge(wanted)) !== 'string';
  }
}

interface RelayContext extends RelayRequest, RelayOptions {
  readonly counters: UdpCounters;
  readonly judge: UdpDestinations['judge'];
  readonly closed: () => void;
}

interface Destination {
  /** Undefined while it is being judged. */
  judged: Judgement | undefined;
  waiting: Buffer[];
  /** For a name; an address is judged once. */
  judgedUntil: number;
}

/**
 * One association's way to its targets: endpoint-independent mapping (RFC 4787 §4.1), so one
 * socket a family, opened by the first datagram.
 */
export class UdpRelay {
  readonly #host: Host;
  readonly #context: RelayContext;
  readonly #reassembly = new Reassembly();
  readonly #destinations = new Map<string, Destination>();
  /** Those that were sent to, as filtering knows them; the oldest first. */
  readonly #peers = new Set<string>();
  readonly #leaving = new AbortController();
  #ipv4: UdpSocket | undefined;
  #ipv6: UdpSocket | undefined;
  #cancelReassembly: Cancel | undefined;
  #receivedAt = -Infinity;
  #closed = false;

  constructor(host: Host, context: RelayContext) {
    this.#host = host;
    this.#context = context;
  }

  /** Undefined before the first socket is open. */
  get outgoingPort(): number | undefined {
    return this.#ipv4?.port ?? this.#ipv6?.port;
  }

  /** When a datagram of a target last came; monotonic. */
  get receivedAt(): number {
    return this.#receivedAt;
  }

  /** A SOCKS datagram of the client, maybe a fragment. The bytes must not change any more. */
  handle(datagram: Buffer): void {
    if (this.#closed) return;
    const { refused } = this.#context.counters;
    const decoded = decodeSocksDatagram(datagram);
    if (typeof decoded === 'string') refused.add([decoded]);
    else if (decoded.fragment === 0) this.#relay(decoded);
    else this.#gather(decoded);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leaving.abort();
    this.#cancelReassembly?.();
    this.#ipv4?.close();
    this.#ipv6?.close();
    this.#destinations.clear();
    this.#context.closed();
  }

  #gather(fragment: SocksDatagram): void {
    const { whole, dropped } = this.#reassembly.handle(fragment, this.#host.now());
    if (dropped > 0) this.#context.counters.refused.add(['fragment'], dropped);
    if (whole) this.#relay(whole);
    this.#armReassembly();
  }

  #armReassembly(): void {
    this.#cancelReassembly?.();
    this.#cancelReassembly = undefined;
    const { deadline } = this.#reassembly;
    if (deadline === Infinity) return;
    this.#cancelReassembly = this.#host.after(Math.max(0, deadline - this.#host.now()), () => {
      const dropped = this.#reassembly.expire(this.#host.now());
      if (dropped > 0) this.#context.counters.refused.add(['fragment'], dropped);
      this.#armReassembly();
    });
  }

  #relay({ host, port, data }: Pick<SocksDatagram, 'host' | 'port' | 'data'>): void {
    const { counters, target } = this.#context;
    if (target && (target.port !== port || target.host !== host)) {
      return counters.refused.add(['target']);
    }
    const key = `${host} ${port}`;
    const known = this.#destinations.get(key);
    if (!known || known.judgedUntil <= this.#host.now()) this.#judge(key, host, port, data);
    else if (known.judged === undefined) {
      if (known.waiting.length < WAITING_MAX) known.waiting.push(data);
      else counters.refused.add(['waiting']);
    } else if (typeof known.judged === 'string') counters.refused.add([known.judged]);
    else this.#send(data, known.judged);
  }

  #judge(key: string, host: string, port: number, data: Buffer): void {
    const destination: Destination = { judged: undefined, waiting: [data], judgedUntil: Infinity };
    this.#destinations.delete(key);
    this.#destinations.set(key, destination);
    this.#makeRoom(this.#destinations);
    const { user, groups, judge, counters } = this.#context;
    const { signal } = this.#leaving;
    void judge({ user, groups: groups(), host, port, signal }).then((judged) => {
      if (this.#closed) return;
      destination.judged = judged;
      if (!parseAddress(host)) destination.judgedUntil = this.#host.now() + NAME_MS;
      const waiting = destination.waiting.splice(0);
      if (typeof judged === 'string') counters.refused.add([judged], waiting.length);
      else for (const each of waiting) this.#send(each, judged);
    });
  }

  #send(data: Buffer, to: Endpoint): void {
    const { counters } = this.#context;
    const socket = this.#socket(isIPv6(to.address) ? 6 : 4);
    this.#remember(to);
    if (socket.send(data, to)) counters.toTargets.add(data.length);
    else counters.refused.add(['socket']);
  }

  /** One that could not be opened is tried again by and by. */
  #socket(family: 4 | 6): UdpSocket {
    const known = family === 6 ? this.#ipv6 : this.#ipv4;
    if (known && (known.failedAt === undefined || known.failedAt + RETRY_MS > this.#host.now())) {
      return known;
    }
    const socket = this.#open(family);
    if (family === 6) this.#ipv6 = socket;
    else this.#ipv4 = socket;
    return socket;
  }

  #open(family: 4 | 6): UdpSocket {
    const { ports, outgoingPort, counters, opened } = this.#context;
    return new UdpSocket(this.#host, {
      ...{ family, ports, wishedPort: this.outgoingPort ?? outgoingPort },
      datagram: (bytes, from) => this.#received(bytes, from),
      opened: () => opened(this.outgoingPort ?? 0),
      failed: (datagrams) => counters.refused.add(['socket'], datagrams),
      unsent: (error) => {
        const size = 'code' in error && error.code === 'EMSGSIZE';
        counters.refused.add([size ? 'size' : 'network']);
      },
    });
  }

  #received(bytes: Buffer, from: Endpoint): void {
    const { counters, received } = this.#context;
    const filtered = this.#peerName(from);
    if (filtered !== undefined && !this.#peers.has(filtered)) {
      counters.filtered += 1;
      return;
    }
    this.#receivedAt = this.#host.now();
    counters.fromTargets.add(bytes.length);
    received(encodeSocksDatagram(canonical(from.address), from.port, bytes));
  }

  #remember(to: Endpoint): void {
    const name = this.#peerName(to);
    if (name === undefined || this.#peers.has(name)) return;
    this.#peers.add(name);
    this.#makeRoom(this.#peers);
  }

  /** Undefined when everybody may answer. */
  #peerName({ address, port }: Endpoint): string | undefined {
    const { filtering } = this.#context;
    if (filtering === 'endpoint-independent') return undefined;
    const name = canonical(address);
    return filtering === 'address-dependent' ? name : `${name} ${port}`;
  }

  #makeRoom(known: Map<string, unknown> | Set<string>): void {
    if (known.size <= this.#context.destinations) return;
    for (const oldest of known.keys()) {
      known.delete(oldest);
      return;
    }
  }
}

/** An IPv6 address has many spellings; the system's own may have a zone. */
function canonical(address: string): string {
  if (!address.includes(':')) return address;
  const parsed = parseAddress(address.replace(/%.*$/, ''));
  return parsed ? formatAddress(parsed) : address;
}
