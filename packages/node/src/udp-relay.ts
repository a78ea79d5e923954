import { formatAddress, parseAddress, type Cancel, type Endpoint, type Host } from '@argyle/host';
import { encodeSocksDatagram, socksHeaderBytes } from '@argyle/secure-udp';
import type { UdpOptions } from './options.ts';
import { Reassembly } from './reassembly.ts';
import { SecondChance, type Used } from './second-chance.ts';
import type { UdpCounters } from './udp-counters.ts';
import type { UdpJudge, UdpTarget, UdpUser } from './udp-judge.ts';
import { hasHeader, type RelayDestination } from './udp-relay-destination.ts';
import { RelayDestinations } from './udp-relay-destinations.ts';
import { UdpRelaySocket, type Family } from './udp-relay-socket.ts';

/** For whom datagrams are relayed. */
export interface RelayRequest extends UdpUser {
  /** Wished for; 0 for any. */
  readonly outgoingPort: number;
  /** The only one that is allowed. It can be written into a SOCKS UDP header. */
  readonly target: UdpTarget | undefined;
  /** A SOCKS UDP datagram for the client, which owns it. */
  readonly received: (datagram: Buffer) => void;
  /** It sends from there. */
  readonly opened: (port: number) => void;
}

export interface UdpRelayContext {
  readonly host: Host;
  readonly judge: UdpJudge;
  readonly counters: UdpCounters;
  readonly options: Pick<UdpOptions, 'filtering' | 'ports' | 'destinations'>;
  /** Told once. */
  readonly closed: (relay: UdpRelay) => void;
}

/** Somebody whose datagrams reach the client. */
interface Sender extends Used {
  readonly address: string;
  readonly port: number;
  /** Of SOCKS, before what it sends. */
  readonly header: Buffer;
}

const FRAGMENT_AT = 2;
/** In a header: RSV and FRAG are before the destination. */
const DESTINATION_AT = 3;
const LAST_FRAGMENT = 0x80;
const NOTHING = Buffer.alloc(0);

/**
 * One association's way to its targets: a port of its own for each family, the same for all targets
 * (RFC 4787 §4.1, endpoint-independent mapping), opened by the first datagram.
 */
export class UdpRelay {
  readonly #context: UdpRelayContext;
  readonly #request: RelayRequest;
  readonly #only: Buffer | undefined;
  readonly #destinations: RelayDestinations;
  readonly #sockets: Partial<Record<Family, UdpRelaySocket>> = {};
  readonly #reassembly: Reassembly;
  readonly #senders: SecondChance<string, Sender>;
  /** Most datagrams go where the one before went, and come from where it came from. */
  #lastDestination: RelayDestination | undefined;
  #lastSender: Sender | undefined;
  #outgoingPort: number | undefined;
  #receivedAt = -Infinity;
  #cancelTimer: Cancel | undefined;
  #closed = false;

  constructor(context: UdpRelayContext, request: RelayRequest) {
    const { host, judge, counters, options } = context;
    this.#context = context;
    this.#request = request;
    const { target } = request;
    this.#only = target && encodeSocksDatagram(target.host, target.port, NOTHING);
    this.#senders = new SecondChance(options.destinations);
    this.#reassembly = new Reassembly((fragments) => counters.refused.add(['fragment'], fragments));
    this.#destinations = new RelayDestinations(host, {
      ...{ judge, who: request, counters },
      filtering: options.filtering,
      max: options.destinations,
      reachable: (family) => !this.#sockets[family]?.failed,
      found: (destination, waiting) => {
        for (const data of waiting) this.#relay(destination, data);
      },
      forgotten: (destination) => this.#forget(destination),
    });
  }

  /** Where targets see datagrams come from; undefined before the first was sent. */
  get outgoingPort(): number | undefined {
    return this.#outgoingPort;
  }

  /** Monotonic: when a target was heard last; -Infinity before. */
  get receivedAt(): number {
    return this.#receivedAt;
  }

  /** Destinations that are remembered. */
  get destinations(): number {
    return this.#destinations.size;
  }

  /** A SOCKS UDP datagram of the client's, maybe a fragment. It must not change any more. */
  handle(datagram: Buffer): void {
    if (this.#closed) return;
    const last = this.#lastDestination;
    if (last && hasHeader(datagram, last.header)) {
      this.#whole(last, datagram.subarray(last.header.length));
      return;
    }
    const headerBytes = socksHeaderBytes(datagram);
    if (typeof headerBytes === 'string') this.#context.counters.refused.add([headerBytes]);
    else if (datagram[FRAGMENT_AT] !== 0) this.#fragment(datagram, headerBytes);
    else this.#new(datagram.subarray(0, headerBytes), datagram.subarray(headerBytes));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer?.();
    this.#destinations.close();
    this.#sockets[4]?.close();
    this.#sockets[6]?.close();
    this.#context.closed(this);
  }

  #new(header: Buffer, data: Uint8Array): void {
    if (this.#only && !this.#only.equals(header)) {
      this.#context.counters.refused.add(['target']);
      return;
    }
    const destination = this.#destinations.find(header);
    this.#lastDestination = destination;
    this.#whole(destination, data);
  }

  #whole(destination: RelayDestination, data: Uint8Array): void {
    this.#reassembly.abandon();
    this.#relay(destination, data);
  }

  #fragment(datagram: Buffer, headerBytes: number): void {
    const { host } = this.#context;
    const number = datagram[FRAGMENT_AT] ?? 0;
    const destination = datagram.subarray(DESTINATION_AT, headerBytes);
    const data = datagram.subarray(headerBytes);
    const [position, last] = [number & ~LAST_FRAGMENT, (number & LAST_FRAGMENT) !== 0];
    const joined = this.#reassembly.handle({ position, last, destination, data }, host.now());
    this.#arm();
    if (!joined) return;
    const header = Buffer.from(datagram.subarray(0, headerBytes));
    header[FRAGMENT_AT] = 0;
    this.#new(header, joined);
  }

  /** One timer for what is kept of fragments. */
  #arm(): void {
    const { host } = this.#context;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const { deadline } = this.#reassembly;
    if (deadline === Infinity) return;
    this.#cancelTimer = host.after(deadline - host.now(), () => {
      this.#reassembly.handleDeadline(host.now());
      this.#arm();
    });
  }

  #relay(destination: RelayDestination, data: Uint8Array): void {
    destination.used = true;
    if (destination.until !== Infinity) this.#destinations.refresh(destination);
    const { way } = destination;
    if (!way) {
      this.#destinations.defer(destination, data);
      return;
    }
    const socket = this.#sockets[way.family] ?? this.#socket(way.family);
    if (!socket.send(data, way.endpoint)) return;
    this.#context.counters.toTargets.add(data.length);
  }

  #socket(family: Family): UdpRelaySocket {
    const { host, counters, options } = this.#context;
    const socket = new UdpRelaySocket(host, {
      ...{ family, counters, ports: options.ports },
      wishedPort: this.#outgoingPort ?? this.#request.outgoingPort,
      received: (bytes, from) => this.#received(bytes, from),
      opened: (port) => {
        this.#outgoingPort ??= port;
        this.#request.opened(this.#outgoingPort);
      },
    });
    this.#sockets[family] = socket;
    return socket;
  }

  #received(bytes: Buffer, { address, port }: Endpoint): void {
    const last = this.#lastSender;
    const sender =
      last && last.port === port && last.address === address ? last : this.#sender(address, port);
    const { host, counters } = this.#context;
    if (!sender) {
      counters.filtered += 1;
      return;
    }
    this.#lastSender = sender;
    this.#receivedAt = host.now();
    counters.fromTargets.add(bytes.length);
    const { header } = sender;
    const datagram = Buffer.allocUnsafe(header.length + bytes.length);
    datagram.set(header, 0);
    datagram.set(bytes, header.length);
    this.#request.received(datagram);
  }

  #sender(address: string, port: number): Sender | undefined {
    const key = `${address} ${port}`;
    const known = this.#senders.get(key);
    if (known) return known;
    const parsed = parseAddress(address.replace(/%.*$/, ''));
    if (!parsed || !this.#destinations.accepts(parsed, port)) return undefined;
    const header = encodeSocksDatagram(formatAddress(parsed), port, NOTHING);
    const sender: Sender = { used: false, address, port, header };
    this.#senders.add(key, sender);
    return sender;
  }

  #forget(destination: RelayDestination): void {
    if (this.#lastDestination === destination) this.#lastDestination = undefined;
    this.#lastSender = undefined;
    this.#senders.clear();
  }
}
