import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { openTunnel, type Host, type Tunnel } from '@argyle/host';
import { ClientError } from './errors.ts';
import { failureOf } from './failure.ts';
import { SocksDialogue, SUCCEEDED, type DialogueEvent } from './socks-dialogue.ts';

export interface Reply {
  /** RFC 1928 §6; 0 is success. */
  readonly code: number;
  /** As the node sent it. */
  readonly bytes: Buffer;
}

/** One connection to a node: its login, then requests and their tunnels, one after another. */
export class NodeConnection {
  readonly node: number;
  /** Host time of the end of its handshake. */
  readonly securedAt: number;
  /** Time of the TLS handshake, if it was resumed and nothing else disturbed it. */
  readonly handshakeMs: number | undefined;
  readonly #tls: TLSSocket;
  readonly #reset: () => void;
  readonly #dialogue: SocksDialogue;
  #waiting: PromiseWithResolvers<DialogueEvent> | undefined;
  #failure: ClientError | undefined;
  #lost: (failure: ClientError) => void = () => undefined;

  /**
   * The handshake is done, the stream is the connection's, and somebody listens to its errors.
   * `reset` destroys it such that a node which is still busy with the request notices.
   */
  constructor(
    { tls, reset }: { readonly tls: TLSSocket; readonly reset: () => void },
    dialogue: SocksDialogue,
    facts: { node: number; securedAt: number; handshakeMs: number | undefined },
  ) {
    this.#reset = reset;
    this.node = facts.node;
    this.securedAt = facts.securedAt;
    this.handshakeMs = facts.handshakeMs;
    this.#tls = tls;
    this.#dialogue = dialogue;
    this.#listen();
  }

  /** Greets the node. If it wants the password, the exchange of it is left to `inTurn`. */
  async login(
    inTurn: (check: () => Promise<DialogueEvent>) => Promise<DialogueEvent>,
  ): Promise<'none' | 'password'> {
    const event = await this.#exchange(() => this.#dialogue.greeting());
    if (event.kind === 'ready') return 'none';
    const verdict = await inTurn(() => this.#exchange(() => this.#dialogue.password()));
    assert.equal(verdict.kind, 'ready');
    return 'password';
  }

  /**
   * Rejects with a ClientError when the node is lost before it answers. After a failure the
   * connection takes the next request. After a success nothing is read until `openTunnel`, or
   * `close`.
   */
  async request(bytes: Uint8Array): Promise<Reply> {
    const event = await this.#exchange(() => {
      this.#dialogue.requested();
      return bytes;
    });
    assert(event.kind === 'replied');
    return { code: event.code, bytes: event.bytes };
  }

  /** Called once, if the connection is lost while nobody waits for an answer. */
  watch(lost: (failure: ClientError) => void): void {
    this.#lost = lost;
  }

  /**
   * After a success. `free` is called when the tunnel has ended such that the connection takes the
   * next request.
   */
  openTunnel(
    host: Host,
    application: Socket,
    options: { readonly idleMs: number; readonly free: () => void },
  ): Tunnel {
    const { idleMs } = options;
    const tunnel = openTunnel(host, this.#tls, application, { idleMs, chunked: true });
    void tunnel.released.then((open) => {
      if (!open) return;
      this.#listen();
      options.free();
    });
    return tunnel;
  }

  /** Ends it cleanly. */
  close(): void {
    this.#silence();
    this.#tls.resume();
    this.#tls.destroySoon();
  }

  /** Cuts it; who waits for an answer gets the failure. */
  fail(failure: ClientError): void {
    this.#lose(failure);
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
    if (event.kind === 'violated') {
      this.#lose(new ClientError('protocol', `this is no Argyle node: ${event.reason}`));
    } else if (event.kind === 'refused') {
      this.#lose(refusal(event.by));
    } else {
      if (event.kind === 'replied' && event.code === SUCCEEDED) {
        this.#silence();
        if (event.surplus.length > 0) this.#tls.unshift(event.surplus);
      }
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
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting.reject(failure);
    else this.#lost(failure);
  }

  #listen(): void {
    const tls = this.#tls;
    tls.on('data', this.#receive);
    tls.on('end', this.#ended);
    tls.on('error', this.#broken);
    tls.on('close', this.#closed);
    tls.resume();
  }

  #silence(): void {
    this.#lost = () => undefined;
    this.#tls.pause();
    this.#tls.off('data', this.#receive);
    this.#tls.off('end', this.#ended);
    this.#tls.off('error', this.#broken);
    this.#tls.off('close', this.#closed);
  }
}

function refusal(by: 'methods' | 'password'): ClientError {
  return new ClientError(
    'authentication',
    by === 'password'
      ? 'the node refuses the user: check `user.name` and `user.password`'
      : 'the node wants another login than this client has: check `user` and `certificate`',
  );
}
