import type { Endpoint, Host, Pulse } from '@argyle/host';
import { BindPort, type Meeting } from './bind-port.ts';
import { ConnectionTable } from './connection-table.ts';
import { findAddresses, type Lookup } from './destination.ts';
import { contains, formatAddress, parseAddress, type Network } from '@argyle/host';
import type { NodeCounters } from './node-counters.ts';
import type { BindOptions } from './options.ts';
import type { Question, RuleBook } from './rule-book.ts';
import type { ReplyName } from './socks-reply.ts';

/** `port`: DST.PORT, which rules judge; the peer's own port means nothing. */
export interface BindRequest extends Pick<Question, 'user' | 'groups' | 'port'> {
  /** The peer that is expected: an address or a name, as the client sent it. */
  readonly destination: string;
  /** Whom limits count it against. */
  readonly address: string;
  /** Where the client's connection reached this node. */
  readonly localAddress: string;
  /** Ends the attempt, and closes the port. */
  readonly signal: AbortSignal;
}

export type BindResult =
  /** `endpoint`: where the peer is to connect. */
  | { readonly kind: 'bound'; readonly endpoint: Endpoint; readonly met: Promise<Meeting> }
  | { readonly kind: 'refused'; readonly reply: ReplyName };

export interface BinderOptions extends BindOptions {
  readonly rules: RuleBook;
  /** For the name of the peer. */
  readonly connectMs: number;
  readonly counters: Pick<NodeCounters, 'binds' | 'bindStrangers'>;
  readonly pulse: Pulse;
  /** The system's, unless a test brings its own. */
  readonly lookup?: Lookup;
}

/** A port that waits for its peer. */
export interface WaitingBind {
  readonly endpoint: Endpoint;
  readonly user: string | undefined;
  /** Addresses; empty for anybody whom the rules allow. */
  readonly expected: readonly string[];
  /** Monotonic. */
  readonly since: number;
}

const UNSPECIFIED = ['0.0.0.0', '::'].flatMap((text) => parseAddress(text) ?? []);

/**
 * Opens ports for peers whom a client may meet (RFC 1928 §6, BIND). Who is expected is judged
 * before anything listens. Nobody else is let in, and who comes in vain does not end the wait:
 * strangers could end it then. An unspecified address expects anybody. Rules have to allow that
 * address by a network of its own, which a general rule is not, and then judge each peer too.
 */
export class Binder {
  readonly #host: Host;
  readonly #options: BinderOptions;
  readonly #seats: ConnectionTable;
  readonly #waiting = new Set<WaitingBind>();

  constructor(host: Host, options: BinderOptions) {
    this.#host = host;
    this.#options = options;
    const { waiting: connections, waitingPerAddress: connectionsPerAddress } = options;
    this.#seats = new ConnectionTable({ connections, connectionsPerAddress });
  }

  get waiting(): ReadonlySet<WaitingBind> {
    return this.#waiting;
  }

  async bind(request: BindRequest): Promise<BindResult> {
    const expected = await this.#find(request);
    if (typeof expected === 'string') return { kind: 'refused', reply: expected };
    const own = this.#ownAddress(request.localAddress, expected);
    if (own === undefined) return { kind: 'refused', reply: 'address-type-not-supported' };
    const { counters } = this.#options;
    const seat = this.#seats.seat(request.address);
    if (typeof seat === 'string') {
      counters.binds.add([seat]);
      return { kind: 'refused', reply: 'failed' };
    }
    const port = await this.#open(request, expected, own);
    if (typeof port === 'string') {
      seat.release();
      counters.binds.add(['failed']);
      return { kind: 'refused', reply: 'failed' };
    }
    const endpoint = { address: own, port: port.port };
    const waiting: WaitingBind = {
      endpoint,
      user: request.user,
      expected: isAnybody(expected) ? [] : expected.map(formatAddress),
      since: this.#host.now(),
    };
    this.#waiting.add(waiting);
    const met = port.met.then((meeting) => {
      this.#waiting.delete(waiting);
      seat.release();
      counters.binds.add([meeting.kind]);
      if (meeting.kind === 'met') this.#options.pulse.watch(meeting.socket);
      return meeting;
    });
    return { kind: 'bound', endpoint, met };
  }

  async #find(request: BindRequest): Promise<readonly Network[] | ReplyName> {
    const { connectMs, lookup } = this.#options;
    const bound = new AbortController();
    const cancel = this.#host.after(connectMs, () => bound.abort());
    try {
      return await findAddresses(request.destination, {
        allows: (name, address) => this.#allows(request, name, address),
        signal: AbortSignal.any([request.signal, bound.signal]),
        lookup,
      });
    } finally {
      cancel();
    }
  }

  #open(
    request: BindRequest,
    expected: readonly Network[],
    address: string,
  ): Promise<BindPort | string> {
    const { ports, waitMs, counters } = this.#options;
    const anybody = isAnybody(expected);
    const accepts = (peer: Network) => {
      const accepted = anybody
        ? this.#allows(request, undefined, peer)
        : expected.some((one) => contains(one, peer));
      if (!accepted) counters.bindStrangers.add([anybody ? 'rule' : 'address']);
      return accepted;
    };
    return BindPort.open(this.#host, { address, ports, waitMs, accepts, signal: request.signal });
  }

  #allows(request: BindRequest, name: string | undefined, address: Network): boolean {
    const { user, groups, port } = request;
    return this.#options.rules.allows({ command: 'bind', user, groups, name, address, port });
  }

  /** One that the peer can reach: a configured address, or where the client came in. */
  #ownAddress(localAddress: string, expected: readonly Network[]): string | undefined {
    const own = [...this.#options.addresses, localAddress].flatMap((text) => {
      return parseAddress(text) ?? [];
    });
    const reachable = own.find(({ bytes }) =>
      expected.some((peer) => peer.bytes.length === bytes.length),
    );
    const found = reachable ?? (isAnybody(expected) ? own[0] : undefined);
    return found && formatAddress(found);
  }
}

function isAnybody([address, ...others]: readonly Network[]): boolean {
  if (!address || others.length > 0) return false;
  return UNSPECIFIED.some((unspecified) => contains(unspecified, address));
}
