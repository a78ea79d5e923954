import type { Duplex } from 'node:stream';
import type { Host } from '@argyle/host';
import Parser from 'socksv5/lib/server.parser.js';
import { LoginReader, type LoginProgress } from './socks-login.ts';

export type Malformed = Parser.ParseError['code'];
/** Why nothing more is read: the peer went, was too slow, or made no sense. */
export type ReadEnd =
  | { readonly kind: 'closed' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'malformed'; readonly part: Malformed | 'login' };

export interface SocksRequest {
  readonly command: Parser.Request['cmd'];
  readonly destination: string;
  readonly port: number;
}

/** A failed peer gets this long to read the last reply before the connection is cut. */
const LINGER_MS = 1_000;

/**
 * A client's bytes as the three messages of SOCKS5, one after another, each within its time. What
 * comes after a message stays in the stream, so what a client sends ahead is not lost.
 */
export class SocksStream {
  readonly #host: Host;
  readonly #stream: Duplex;
  /** One a message: it keeps what it has read. */
  #parser: Parser;

  constructor(host: Host, stream: Duplex) {
    this.#host = host;
    this.#stream = stream;
    this.#parser = createParser(stream);
  }

  methods(withinMs: number): Promise<Uint8Array | ReadEnd> {
    return this.#read(withinMs, (settle) => {
      this.#parser.once('methods', settle);
      this.#parser.start();
      return () => this.#parser.off('methods', settle);
    });
  }

  login(withinMs: number): Promise<Extract<LoginProgress, { kind: 'login' }> | ReadEnd> {
    return this.#read(withinMs, (settle) => {
      const reader = new LoginReader();
      const read = (chunk: Buffer) => {
        const progress = reader.push(chunk);
        if (progress.kind === 'incomplete') return;
        stop();
        if (progress.kind === 'malformed') {
          settle({ kind: 'malformed', part: 'login' });
          return;
        }
        if (progress.rest.length > 0) this.#stream.unshift(progress.rest);
        settle(progress);
      };
      const stop = () => {
        this.#stream.off('data', read);
        this.#stream.pause();
      };
      this.#stream.on('data', read).resume();
      return stop;
    });
  }

  /** `waitMs`: for its first byte, told by `began`; `withinMs`: from there to its last. */
  request(waitMs: number, withinMs: number, began: () => void): Promise<SocksRequest | ReadEnd> {
    this.#parser = createParser(this.#stream);
    return this.#read(waitMs, (settle, allow) => {
      const requested = ({ cmd, dstAddr, dstPort }: Parser.Request) =>
        settle({ command: cmd, destination: dstAddr, port: dstPort });
      const first = () => {
        began();
        allow(withinMs);
      };
      this.#stream.once('data', first);
      this.#parser.once('request', requested);
      this.#parser.authed = true;
      this.#parser.start();
      return () => {
        this.#stream.off('data', first);
        this.#parser.off('request', requested);
      };
    });
  }

  /**
   * Whether the connection goes on. Who asks ahead and does not read is cut after that time; who
   * asks ahead and reads is served in turn with others.
   */
  async answer(reply: Uint8Array, withinMs: number): Promise<boolean> {
    const stream = this.#stream;
    const room = stream.write(reply);
    await new Promise<void>((resolve) => {
      const cancel = this.#host.after(room ? 0 : withinMs, () => {
        if (!room) stream.destroy();
        settle();
      });
      const settle = () => {
        cancel();
        stream.off('drain', settle).off('close', settle);
        resolve();
      };
      if (!room) stream.once('drain', settle);
      stream.once('close', settle);
      if (stream.closed) settle();
    });
    return !stream.destroyed;
  }

  /** Ends the connection once `last` is sent, and in any case soon. */
  end(last?: Uint8Array): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    const cancel = this.#host.after(LINGER_MS, () => stream.destroy());
    stream.once('close', cancel);
    // Unread bytes would make the system reset the connection, and the reply be lost.
    stream.resume();
    if (last) stream.end(last);
    else stream.end();
  }

  #read<Message>(
    withinMs: number,
    subscribe: (
      settle: (message: Message | ReadEnd) => void,
      allow: (withinMs: number) => void,
    ) => () => void,
  ): Promise<Message | ReadEnd> {
    return new Promise((resolve) => {
      const stream = this.#stream;
      const late = () => settle({ kind: 'timeout' });
      let cancel = this.#host.after(withinMs, late);
      const allow = (ms: number) => {
        cancel();
        cancel = this.#host.after(ms, late);
      };
      const closed = () => settle({ kind: 'closed' });
      const failed = ({ code }: Parser.ParseError) => settle({ kind: 'malformed', part: code });
      const settle = (message: Message | ReadEnd) => {
        cancel();
        stream.off('close', closed).off('end', closed);
        this.#parser.off('error', failed);
        unsubscribe();
        this.#parser.stop();
        resolve(message);
      };
      stream.once('close', closed).once('end', closed);
      this.#parser.once('error', failed);
      const over = stream.destroyed || stream.readableEnded;
      const unsubscribe = over ? () => undefined : subscribe(settle, allow);
      if (over) closed();
    });
  }
}

/** It begins to read at once; here messages are asked for. */
function createParser(stream: Duplex): Parser {
  const parser = new Parser(stream);
  parser.stop();
  return parser;
}
