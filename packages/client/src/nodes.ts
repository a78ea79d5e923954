import assert from 'node:assert/strict';
import type { Cancel, Endpoint } from '@argyle/host';
import { AddressBook, type NameStatus, type NodeAddress } from './address-book.ts';
import type { NodeStatus } from './candidate.ts';
import { isTransient, type ClientError, type ClientErrorCode } from './errors.ts';
import { LookUps, type LookUpsContext } from './look-ups.ts';
import { NodeChoice } from './node-choice.ts';
import type { ConnectionFacts } from './node-connection.ts';

export interface NodesOptions {
  readonly nodes: readonly Endpoint[];
  readonly retryMs: number;
  readonly random: () => number;
}

/** What follows for connections. */
export interface NodesHandlers {
  /** A trial of it is due. */
  try(node: number): void;
  /** It may be another that is preferred, or usable, or here. */
  changed(): void;
  /** What waits there for an answer waits in vain. */
  failed(node: number, failure: ClientError): void;
  /** It was withdrawn, and nothing is left of it. */
  forgotten(node: number): void;
  /** How many connections there are to it. */
  connections(node: number): number;
}

/** `leaving`: its address was withdrawn from its name; what it carries goes on. */
export interface KnownNode extends Omit<NodeStatus, 'state'> {
  readonly state: NodeStatus['state'] | 'leaving';
  readonly endpoint: Endpoint;
  readonly connections: number;
}

interface Known {
  readonly node: number;
  readonly address: NodeAddress;
  leaving: boolean;
}

/** The nodes as they are known now: where they are, how they do, and which is preferred. */
export class Nodes {
  readonly choice: NodeChoice;
  readonly #context: LookUpsContext;
  readonly #handlers: NodesHandlers;
  readonly #book: AddressBook;
  readonly #lookUps: LookUps;
  /** Never two with the same key. */
  readonly #known = new Map<number, Known>();
  #last = -1;
  #announced: number | undefined;
  #cancel: Cancel | undefined;
  #stopped = false;

  constructor(context: LookUpsContext, options: NodesOptions, handlers: NodesHandlers) {
    this.#context = context;
    this.#handlers = handlers;
    this.choice = new NodeChoice(options);
    this.#book = new AddressBook(options, this.#now);
    this.#lookUps = new LookUps(context, this.#book, () => {
      this.#follow();
      this.settle();
    });
    this.#follow();
  }

  get #now(): number {
    return this.#context.host.now();
  }

  /** Whether a name is being looked up, so that there may soon be others. */
  get lookingUp(): boolean {
    return this.#book.lookingUp;
  }

  get names(): readonly NameStatus[] {
    return this.#book.status(this.#now);
  }

  /** Those that are leaving come last. */
  get status(): readonly KnownNode[] {
    const here = this.choice.status(this.#now).map((status) => this.#shown(status));
    const leaving = [...this.#known.values()].flatMap(({ node, address, leaving }) => {
      if (!leaving) return [];
      const unknown = { delayMs: undefined, failures: 0, lastFailure: undefined, nextTrialMs: 0 };
      return [this.#shown({ node, label: address.label, state: 'leaving', ...unknown })];
    });
    return [...here, ...leaving];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#lookUps.stop();
  }

  endpoint(node: number): Endpoint {
    return this.#at(node).address.endpoint;
  }

  label(node: number | undefined): string {
    return node === undefined ? '' : (this.#known.get(node)?.address.label ?? '');
  }

  reached({ node, handshake }: ConnectionFacts): void {
    const before = this.choice.state(node);
    this.choice.reached(node, this.#now);
    this.choice.measured(node, handshake, this.#now);
    if (before === 'failed') {
      const fields = { event: 'node-returned', node: this.label(node) };
      this.#context.log.info(fields, 'node answers again');
    }
    this.settle();
  }

  suspect(node: number, failure: ClientError): void {
    if (this.choice.state(node) === 'reached') this.#book.doubt(this.#at(node).address.key);
    this.choice.suspect(node, failure, this.#now);
    this.settle();
  }

  failed(node: number, failure: ClientError, startedAt: number): void {
    const before = this.choice.status(this.#now).find((status) => status.node === node);
    this.choice.failed(node, failure, startedAt, this.#now);
    if (this.choice.state(node) === 'failed') {
      if (before?.state !== 'failed' || !sameForOperators(before.lastFailure?.code, failure.code)) {
        this.#tell(node, failure);
      }
      this.#book.doubt(this.#at(node).address.key);
      if (isTransient(failure.code)) this.#handlers.failed(node, failure);
    }
    this.settle();
  }

  /** The last connection to it may have gone. */
  closed(node: number): void {
    if (!this.#known.get(node)?.leaving || this.#handlers.connections(node) > 0) return;
    this.#known.delete(node);
    this.#handlers.forgotten(node);
  }

  /** After every change. */
  settle(): void {
    if (this.#stopped) return;
    const due = this.choice.due(this.#now);
    const { preferred } = this.choice;
    if (preferred !== this.#announced) {
      this.#announced = preferred;
      const reason = this.choice.reason(this.#now);
      const fields = { event: 'node-chosen', node: this.label(preferred), reason };
      if (preferred !== undefined) this.#context.log.info(fields, 'node chosen');
    }
    this.#handlers.changed();
    for (const name of this.#book.due(this.#now)) this.#lookUps.begin(name);
    for (const node of due) this.#handlers.try(node);
    this.#arm();
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const deadline = Math.min(this.choice.deadline, this.#book.deadline);
    if (deadline === Infinity) return;
    const delayMs = Math.max(0, deadline - this.#now);
    this.#cancel = this.#context.host.after(delayMs, () => this.settle());
  }

  /** Takes over what the book says. */
  #follow(): void {
    const wanted = new Map(this.#book.addresses.map((address) => [address.key, address]));
    const left: string[] = [];
    const came: string[] = [];
    for (const known of [...this.#known.values()]) {
      const { key, label } = known.address;
      if (wanted.has(key)) {
        if (known.leaving) came.push(label);
        this.#welcome(known);
        wanted.delete(key);
      } else if (!known.leaving) {
        left.push(label);
        this.#withdraw(known);
      }
    }
    for (const address of wanted.values()) {
      this.#last += 1;
      const known = { node: this.#last, address, leaving: true };
      this.#known.set(known.node, known);
      this.#welcome(known);
      came.push(address.label);
    }
    if (came.length + left.length === 0 || this.#book.status(this.#now).length === 0) return;
    this.#context.log.info({ event: 'nodes-changed', came, left }, 'addresses of nodes changed');
  }

  #welcome(known: Known): void {
    if (!known.leaving) return;
    known.leaving = false;
    this.choice.add(known.node, known.address.label, this.#now);
  }

  #withdraw(known: Known): void {
    known.leaving = true;
    this.choice.remove(known.node, this.#now);
    this.closed(known.node);
  }

  #tell(node: number, { code, message }: ClientError): void {
    const { log } = this.#context;
    const fields = { node: this.label(node), code, cause: message };
    if (isTransient(code)) log.warn({ event: 'node-failed', ...fields }, 'node failed');
    else log.error({ event: 'node-unusable', ...fields }, 'node cannot be used');
  }

  #shown(status: Omit<KnownNode, 'endpoint' | 'connections'>): KnownNode {
    const { node } = status;
    const connections = this.#handlers.connections(node);
    return { ...status, endpoint: this.endpoint(node), connections };
  }

  #at(node: number): Known {
    const known = this.#known.get(node);
    assert(known);
    return known;
  }
}

/** A node that is down gives now this error, now that. */
function sameForOperators(before: ClientErrorCode | undefined, now: ClientErrorCode): boolean {
  return before === now || (before !== undefined && isTransient(before) && isTransient(now));
}
