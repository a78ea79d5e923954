import type { Host, Log, Resolve } from '@argyle/host';
import type { AddressBook } from './address-book.ts';
import type { Counters } from './counters.ts';
import { ClientError } from './errors.ts';

/** A name server that has not answered by then is asked again soon enough. */
const LOOK_UP_MS = 5_000;

export interface LookUpsContext {
  readonly host: Host;
  readonly log: Log;
  readonly counters: Counters;
  readonly resolve: Resolve;
}

/** Looks names up for an address book, side by side: none waits for another. */
export class LookUps {
  readonly #context: LookUpsContext;
  readonly #book: AddressBook;
  readonly #ended: () => void;
  readonly #underWay = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  /** `ended` is called whenever the book was told of a look-up's end. */
  constructor(context: LookUpsContext, book: AddressBook, ended: () => void) {
    this.#context = context;
    this.#book = book;
    this.#ended = ended;
  }

  begin(name: string): void {
    const lookUp = this.#lookUp(name).finally(() => this.#underWay.delete(lookUp));
    this.#underWay.add(lookUp);
  }

  /** Ends when no look-up is under way any more. */
  async stop(): Promise<void> {
    this.#stopping.abort(new ClientError('stopped', 'the client is stopping'));
    await Promise.all(this.#underWay);
  }

  async #lookUp(name: string): Promise<void> {
    const { host, resolve } = this.#context;
    const bound = new AbortController();
    const cancel = host.after(LOOK_UP_MS, () => {
      bound.abort(new ClientError('timeout', `no answer within ${LOOK_UP_MS} ms`));
    });
    try {
      const signal = AbortSignal.any([this.#stopping.signal, bound.signal]);
      const addresses = await resolve(name, signal);
      if (this.#stopping.signal.aborted) return;
      if (addresses.length === 0) throw new ClientError('unreachable', 'it has no address');
      this.#answered(name, addresses);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#failed(name, error instanceof Error ? error.message : String(error));
    } finally {
      cancel();
    }
    this.#ended();
  }

  #answered(name: string, addresses: readonly string[]): void {
    const { host, log, counters } = this.#context;
    counters.lookUps.answered += 1;
    if (this.#book.isLost(name)) log.info({ event: 'name-resolved', name }, 'name resolves again');
    this.#book.answered(name, addresses, host.now());
  }

  #failed(name: string, cause: string): void {
    const { log, counters } = this.#context;
    counters.lookUps.failed += 1;
    if (!this.#book.isLost(name)) {
      log.warn({ event: 'name-unresolved', name, cause }, 'name does not resolve');
    }
    this.#book.failed(name, cause);
  }
}
