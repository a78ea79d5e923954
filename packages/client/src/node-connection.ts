import assert from 'node:assert/strict';
import type { TLSSocket } from 'node:tls';
import { Carrier, type CarriedTunnel, type Host } from '@argyle/host';
import { ClientError } from './errors.ts';
import { failureOf } from './failure.ts';
import type { Measurement } from './node-choice.ts';
import { SocksDialogue, type DialogueEvent } from './socks-dialogue.ts';

/** What the maker of a connection knows of it. */
export interface ConnectionFacts {
  readonly node: number;
  /** Host time of the end of its handshake. */
  readonly securedAt: number;
  /** Of the TLS handshake. */
  readonly handshake: Measurement;
}

export interface ConnectionStream {
  readonly tls: TLSSocket;
  /** Destroys it such that a node which is still busy with a request notices. */
  readonly reset: () => void;
}

/**
 * Bytes, or what makes them of keying material of the connection that is asked (RFC 8446 §7.5,
 * without a context).
 */
export type NodeRequest = Uint8Array | ((exported: ExportKeys) => Uint8Array);
export type ExportKeys = (label: string, sizeBytes: number) => Uint8Array;

/** One connection to a node: its login, then tunnels side by side. */
export class NodeConnection {
  readonly facts: ConnectionFacts;
  readonly #host: Host;
  readonly #tls: TLSSocket;
  readonly #reset: () => void;
  readonly #dialogue: SocksDialogue;
  #waiting: PromiseWithResolvers<DialogueEvent> | undefined;
  #carrier: Carrier | undefined;
  #failure: ClientError | undefined;
  #retired = false;
  #lost: (failure: ClientError) => void = () => undefined;
  #idle: () => void = () => undefined;

  /** The handshake is done, the stream is the connection's, and somebody listens to its errors. */
  constructor(
    host: Host,
    { tls, reset }: ConnectionStream,
    dialogue: SocksDialogue,
    facts: ConnectionFacts,
  ) {
    this.#host = host;
    this.#reset = reset;
    this.facts = facts;
    this.#tls = tls;
    this.#dialogue = dialogue;
    tls.on('data', this.#receive);
    tls.on('end', this.#ended);
    tls.on('error', this.#broken);
    tls.on('close', this.#closed);
  }

  /** Tunnels that are asked for or open. */
  get load(): number {
    return this.#carrier?.size ?? 0;
  }

  /** Why it is of no use any more. */
  get failure(): ClientError | undefined {
    return this.#failure;
  }

  /** Greets the node. If it wants the password, the exchange of it is left to `inTurn`. */
  async login(
    inTurn: (check: () => Promise<DialogueEvent>) => Promise<DialogueEvent>,
  ): Promise<'none' | 'password'> {
    const event = await this.#exchange(() => this.#dialogue.greeting());
    if (event.kind === 'ready') return this.#loggedIn('none');
    const verdict = await inTurn(() => this.#exchange(() => this.#dialogue.password()));
    assert.equal(verdict.kind, 'ready');
    return this.#loggedIn('password');
  }

  /** After the login. Its `replied` is undefined when the connection fails, see `failure`. */
  request(request: NodeRequest): CarriedTunnel {
    assert(this.#carrier);
    return this.#carrier.request(typeof request === 'function' ? this.#made(request) : request);
  }

  /** `lost` is called once, if the connection fails; `idle` when its last tunnel has ended. */
  watch(handlers: { lost(failure: ClientError): void; idle(): void }): void {
    this.#lost = (failure) => handlers.lost(failure);
    this.#idle = () => handlers.idle();
    const failure = this.#failure;
    if (failure) queueMicrotask(() => handlers.lost(failure));
  }

  /** Ends it cleanly, once nothing uses it. */
  retire(): void {
    this.#retired = true;
    if (this.load === 0) this.#end();
  }

  /** Cuts it, with all that it carries. */
  fail(failure: ClientError): void {
    this.#lose(failure);
  }

  /** A connection that failed exports nothing, and takes no request either. */
  #made(request: Exclude<NodeRequest, Uint8Array>): Uint8Array {
    if (this.#failure || this.#tls.destroyed) return new Uint8Array();
    const context = Buffer.alloc(0);
    return request((label, sizeBytes) => {
      return this.#tls.exportKeyingMaterial(sizeBytes, label, context);
    });
  }

  #loggedIn<By>(by: By): By {
    if (this.#failure) throw this.#failure;
    this.#tls.off('data', this.#receive).off('end', this.#ended);
    this.#carrier = new Carrier(this.#host, this.#tls, {
      idle: () => (this.#retired ? this.#end() : this.#idle()),
      lost: (reason) => {
        if (reason === 'ended') this.#ended();
        else if (reason === 'reset') this.#closed();
        else this.#lose(notArgyle('its chunks make no sense'));
      },
    });
    return by;
  }

  #end(): void {
    this.#lost = () => undefined;
    this.#failure ??= new ClientError('closed', 'the client closed the connection');
    this.#tls.destroySoon();
  }

  /** `say` is asked for the next words only if the node said nothing out of turn meanwhile. */
  async #exchange(say: () => Uint8Array): Promise<DialogueEvent> {
    if (this.#failure) throw this.#failure;
    assert(!this.#waiting);
    this.#tls.write(say());
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  readonly #receive = (bytes: Buffer): void => {
    const event = this.#dialogue.receive(bytes);
    if (!event) return;
    if (event.kind === 'violated') this.#lose(notArgyle(event.reason));
    else if (event.kind === 'refused') this.#lose(refusal(event.by));
    else {
      this.#waiting?.resolve(event);
      this.#waiting = undefined;
    }
  };

  readonly #ended = (): void => {
    this.#lose(new ClientError('closed', 'the node closed the connection'));
  };

  readonly #broken = (error: Error): void => {
    this.#lose(failureOf(error));
  };

  readonly #closed = (): void => {
    this.#lose(new ClientError('reset', 'connection reset'));
  };

  #lose(failure: ClientError): void {
    if (this.#failure) return;
    this.#failure = failure;
    this.#reset();
    this.#waiting?.reject(failure);
    this.#waiting = undefined;
    this.#lost(failure);
  }
}

function notArgyle(reason: string): ClientError {
  return new ClientError('protocol', `this is no Argyle node: ${reason}`);
}

function refusal(by: 'methods' | 'password'): ClientError {
  return new ClientError(
    'authentication',
    by === 'password'
      ? 'the node refuses the user: check `user.name` and `user.password`'
      : 'the node wants another login than this client has: check `user` and `certificate`',
  );
}
