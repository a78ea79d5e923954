import type { Host, Network } from '@argyle/host';
import { findAddresses, type Lookup } from './destination.ts';
import type { ProtectedEndpoints } from './protected-endpoints.ts';
import type { RuleBook } from './rule-book.ts';
import type { ReplyName } from './socks-reply.ts';

/** Whose datagrams are judged. */
export interface UdpUser {
  readonly user: string | undefined;
  readonly groups: () => readonly string[];
}

export interface UdpTarget {
  /** An address or a name, as the client sent it. */
  readonly host: string;
  readonly port: number;
}

export interface UdpJudgeOptions {
  readonly rules: RuleBook;
  readonly protectedEndpoints: ProtectedEndpoints;
  /** For a name. */
  readonly lookUpMs: number;
  /** The system's, unless a test brings its own. */
  readonly lookup?: Lookup | undefined;
}

/** Look-ups at once, of all associations: they share the runtime's few threads. */
const LOOKUPS_MAX = 256;

/** Where datagrams of a user may go. What is judged is what is sent to. */
export class UdpJudge {
  readonly #host: Host;
  readonly #options: UdpJudgeOptions;
  #lookups = 0;

  constructor(host: Host, options: UdpJudgeOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Too many names are being looked up. */
  get busy(): boolean {
    return this.#lookups >= LOOKUPS_MAX;
  }

  /** `name`: as requested, in lower case and without a final dot; undefined for an address. */
  allows(who: UdpUser, name: string | undefined, address: Network, port: number): boolean {
    const { rules, protectedEndpoints } = this.#options;
    if (port === 0 || protectedEndpoints.protects(address, port)) return false;
    const [user, groups] = [who.user, who.groups()];
    return rules.allows({ command: 'udp', user, groups, name, address, port });
  }

  /** Those addresses of a target that are allowed, or why there is none. Never rejects. */
  async find(
    who: UdpUser,
    { host, port }: UdpTarget,
    signal: AbortSignal,
  ): Promise<readonly Network[] | ReplyName> {
    const bound = new AbortController();
    const cancel = this.#host.after(this.#options.lookUpMs, () => bound.abort());
    this.#lookups += 1;
    try {
      return await findAddresses(host, {
        allows: (name, address) => this.allows(who, name, address, port),
        signal: AbortSignal.any([signal, bound.signal]),
        lookup: this.#options.lookup,
      });
    } finally {
      this.#lookups -= 1;
      cancel();
    }
  }
}
