import { type Cancel, type Endpoint, type Host, parseAddress, type Resolve } from '@argyle/host';

/** Names of services list who runs now, so they are asked again. */
const INTERVAL_MS = 5_000;
/** A name that nobody answers for is given up until the next time. */
const ANSWER_MS = 4_000;
/** Of one name. */
const ADDRESSES_MAX = 128;

export interface NameDiscoveryOptions {
  readonly host: Host;
  /** Names in place of addresses, each with the own port of the members there. */
  readonly names: readonly Endpoint[];
  readonly resolve: Resolve;
  /** A member may be at that endpoint; told again each time that the name is answered. */
  readonly found: (endpoint: Endpoint) => void;
  /** A name has no answer, told once until it has one again. */
  readonly failed: (name: string, error: Error) => void;
}

/**
 * Finds members by the addresses of names, as a Kubernetes headless service has them. A hint only,
 * as `Discovery` is, and an edge as well.
 */
export class NameDiscovery {
  /** Questions that had no answer of use. */
  failures = 0;
  readonly #options: NameDiscoveryOptions;
  readonly #closing = new AbortController();
  readonly #failing = new Set<Endpoint>();
  readonly #cancels = new Map<Endpoint, Cancel>();

  constructor(options: NameDiscoveryOptions) {
    this.#options = options;
    for (const name of options.names) void this.#ask(name);
  }

  /** Ends questions that are under way; nothing is told any more. */
  close(): void {
    this.#closing.abort(new Error('closed'));
    for (const cancel of this.#cancels.values()) cancel();
  }

  async #ask(name: Endpoint): Promise<void> {
    const { host, found, failed } = this.#options;
    const late = new AbortController();
    const cancel = host.after(ANSWER_MS, () => late.abort(new Error('no answer in time')));
    this.#cancels.set(name, cancel);
    const answer = await this.#addresses(name.address, late.signal);
    cancel();
    if (this.#closing.signal.aborted) return;
    this.#cancels.set(
      name,
      host.after(INTERVAL_MS, () => void this.#ask(name)),
    );
    if (answer instanceof Error) {
      this.failures += 1;
      if (!this.#failing.has(name)) failed(name.address, answer);
      this.#failing.add(name);
      return;
    }
    this.#failing.delete(name);
    for (const address of answer) found({ address, port: name.port });
  }

  async #addresses(name: string, late: AbortSignal): Promise<readonly string[] | Error> {
    const signal = AbortSignal.any([this.#closing.signal, late]);
    try {
      const addresses = await this.#options.resolve(name, signal);
      const usable = addresses.filter((address) => parseAddress(address)?.bytes.length === 4);
      if (usable.length > 0) return usable.slice(0, ADDRESSES_MAX);
      return new Error(`only IPv6 addresses, and the group speaks IPv4 (${addresses[0]})`);
    } catch (error) {
      return error instanceof Error ? error : new Error('unknown', { cause: error });
    }
  }
}
