import type { LookupAddress } from 'node:dns';
import { connect, type Socket } from 'node:net';
import type { Host, Pulse } from '@argyle/host';
import { findAddresses, type Lookup } from './destination.ts';
import { formatAddress, type Network } from '@argyle/host';
import type { ProtectedEndpoints } from './protected-endpoints.ts';
import type { Question, RuleBook } from './rule-book.ts';
import { replyTo, type ReplyName } from './socks-reply.ts';

export interface DialRequest extends Pick<Question, 'command' | 'user' | 'groups' | 'port'> {
  /** An address or a name, as the client sent it. */
  readonly destination: string;
  /** Ends the attempt; the answer is then `failed`. */
  readonly signal: AbortSignal;
}

export type DialResult =
  | { readonly kind: 'connected'; readonly socket: Socket }
  | { readonly kind: 'refused'; readonly reply: ReplyName };

export interface DialerOptions {
  readonly rules: RuleBook;
  readonly protectedEndpoints: ProtectedEndpoints;
  /** For the name and the connection together. */
  readonly connectMs: number;
  readonly pulse: Pulse;
  /** The system's, unless a test brings its own. */
  readonly lookup?: Lookup;
}

/** How long one address may take, when another is left: the runtime gives it up then. */
const ATTEMPT_MS = 1_000;

/** Opens connections to where a client may go. What is judged is what is dialled. */
export class Dialer {
  readonly #host: Host;
  readonly #options: DialerOptions;

  constructor(host: Host, options: DialerOptions) {
    this.#host = host;
    this.#options = options;
  }

  async dial(request: DialRequest): Promise<DialResult> {
    const bound = new AbortController();
    const cancel = this.#host.after(this.#options.connectMs, () => bound.abort());
    const signal = AbortSignal.any([request.signal, bound.signal]);
    try {
      const found = await findAddresses(request.destination, {
        allows: (name, address) => this.#allows(request, name, address),
        signal,
        lookup: this.#options.lookup,
      });
      if (typeof found === 'string') return { kind: 'refused', reply: found };
      const end = await connectTo(found, request.port, signal);
      if (typeof end === 'string') {
        return { kind: 'refused', reply: bound.signal.aborted ? 'host-unreachable' : replyTo(end) };
      }
      this.#options.pulse.watch(end);
      return { kind: 'connected', socket: end };
    } finally {
      cancel();
    }
  }

  #allows(request: DialRequest, name: string | undefined, address: Network): boolean {
    const { rules, protectedEndpoints } = this.#options;
    const { command, user, groups, port } = request;
    if (port === 0 || protectedEndpoints.protects(address, port)) return false;
    return rules.allows({ command, user, groups, name, address, port });
  }
}

/** The first that answers, or the error's code. */
function connectTo(
  addresses: readonly Network[],
  port: number,
  signal: AbortSignal,
): Promise<Socket | string> {
  return new Promise((settle) => {
    const judged = addresses.map<LookupAddress>((address) => ({
      address: formatAddress(address),
      family: address.bytes.length === 4 ? 4 : 6,
    }));
    const [first] = judged;
    if (!first || signal.aborted) {
      settle('ETIMEDOUT');
      return;
    }
    const alone = { host: first.address, port };
    const several = {
      // Never asked of a name server: the answer is the list that was judged.
      host: 'judged.invalid',
      port,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: ATTEMPT_MS,
      lookup: (_name: string, _options: object, answer: AnswerAll) => answer(null, judged),
    };
    const options = judged.length === 1 ? alone : several;
    const socket = connect({ ...options, allowHalfOpen: true, noDelay: true });
    const abandon = () => {
      socket.destroy();
      settle('ETIMEDOUT');
    };
    signal.addEventListener('abort', abandon, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abandon);
      settle(socket.pause());
    });
    socket.on('error', (error) => {
      signal.removeEventListener('abort', abandon);
      settle(codeOf(error));
    });
  });
}

type AnswerAll = (error: null, addresses: LookupAddress[]) => void;

/** Of several addresses, the first one's error. */
function codeOf(error: Error): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!(first instanceof Error) || !('code' in first)) return '';
  return typeof first.code === 'string' ? first.code : '';
}
