import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { Conversation, VISIT_MS } from './soak-conversation.ts';
import type { Way } from './soak-visit.ts';

/** An application: plain SOCKS5 to the client's port. */
export class ApplicationWay implements Way {
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async open(reached: (where: string) => void): Promise<Conversation> {
    reached('client');
    const socket = connectTcp({ host: '127.0.0.1', port: this.#port, noDelay: true });
    const conversation = new Conversation(socket);
    conversation.limit(VISIT_MS);
    await Promise.race([once(socket, 'connect'), conversation.lost]);
    conversation.say(Buffer.of(5, 1, 0));
    if ((await conversation.read(2))[1] !== 0) throw new Error('no method');
    return conversation;
  }
}

export interface VisitorOptions {
  readonly secureContext: SecureContext;
  readonly method: number;
  readonly user: { readonly name: string; readonly password: string };
  /** Names and ports, the one that he prefers first. */
  readonly nodes: readonly { readonly name: string; readonly port: number }[];
  readonly secured: (resumed: boolean) => void;
}

/**
 * A conventional client: SOCKS5 over TLS to a node, with a session of his own that he offers at
 * whichever node takes him. Where nobody listens he goes to the next, as behind any balancer.
 */
export class VisitorWay implements Way {
  readonly #options: VisitorOptions;
  #session: Buffer | undefined;

  constructor(options: VisitorOptions) {
    this.#options = options;
  }

  async open(reached: (where: string) => void): Promise<Conversation> {
    const { nodes } = this.#options;
    for (const { name, port } of nodes) {
      reached(name);
      try {
        return await this.#openAt(port);
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (code !== 'ECONNREFUSED') throw error;
      }
    }
    throw new Error('no node listens');
  }

  async #openAt(port: number): Promise<Conversation> {
    const { secureContext, method, secured } = this.#options;
    const tcp = { host: '127.0.0.1', port, noDelay: true };
    const tls = { secureContext, servername: 'argyle.cluster' };
    const session = this.#session && { session: this.#session };
    const socket = connectTls({ ...tcp, ...tls, ...session });
    socket.on('session', (made: Buffer) => (this.#session = made));
    const conversation = new Conversation(socket);
    conversation.limit(VISIT_MS);
    await Promise.race([once(socket, 'secureConnect'), conversation.lost]);
    secured(socket.isSessionReused());
    conversation.say(Buffer.of(5, 1, method));
    if ((await conversation.read(2))[1] !== method) throw new Error('another method');
    if (method === 2) await this.#login(conversation);
    return conversation;
  }

  async #login(conversation: Conversation): Promise<void> {
    const parts = [this.#options.user.name, this.#options.user.password].map((text) => {
      const bytes = Buffer.from(text);
      return Buffer.concat([Buffer.of(bytes.length), bytes]);
    });
    conversation.say(Buffer.concat([Buffer.of(1), ...parts]));
    if ((await conversation.read(2))[1] !== 0) throw new Error('the password was refused');
  }
}
