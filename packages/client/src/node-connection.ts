import assert from 'node:assert/strict';
import type { TLSSocket } from 'node:tls';
import { ClientError } from './errors.ts';
import { failureOf } from './failure.ts';
import { SocksDialogue, type DialogueEvent } from './socks-dialogue.ts';

export interface Reply {
  /** RFC 1928 §6; 0 is success. */
  readonly code: number;
  /** As the node sent it. */
  readonly bytes: Buffer;
}

/** One connection to a node, from its handshake until the tunnel takes its stream. */
export class NodeConnection {
  readonly node: number;
  /** Time of the TLS handshake, if it was resumed and nothing else disturbed it. */
  readonly handshakeMs: number | undefined;
  readonly #tls: TLSSocket;
  readonly #dialogue: SocksDialogue;
  #waiting: PromiseWithResolvers<DialogueEvent> | undefined;
  #failure: ClientError | undefined;
  #lost: (failure: ClientError) => void = () => undefined;

  /**
   * The handshake is done; the stream belongs to the connection until `release`, and somebody
   * listens to its errors.
   */
  constructor(
    tls: TLSSocket,
    dialogue: SocksDialogue,
    facts: { node: number; handshakeMs: number | undefined },
  ) {
    this.node = facts.node;
    this.handshakeMs = facts.handshakeMs;
    this.#tls = tls;
    this.#dialogue = dialogue;
    tls.on('data', this.#receive);
    tls.on('end', this.#ended);
    tls.on('error', this.#broken);
    tls.on('close', this.#closed);
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
   * Once. Rejects with a ClientError when the node is lost before it answers. After the answer
   * nothing is read any more: the stream may end before its next owner listens.
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

  /** After a reply: the stream, paused, with all that the destination has said. */
  release(): TLSSocket {
    return this.#tls;
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
      if (event.kind === 'replied') {
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
    this.#tls.destroy();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting.reject(failure);
    else this.#lost(failure);
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
