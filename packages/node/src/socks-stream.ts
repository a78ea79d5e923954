import type { Duplex } from 'node:stream';
import { watchLeaving, type Host } from '@argyle/host';
import Parser from 'socksv5/lib/server.parser.js';
import { LoginReader, type LoginProgress } from './socks-login.ts';
import { socksRequest, type SocksRequest } from './socks-request.ts';

export type Malformed = Parser.ParseError['code'];
/** Why nothing more is read: the peer went, was too slow, or made no sense. */
export type ReadEnd =
  | { readonly kind: 'closed' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'malformed'; readonly part: Malformed | 'login' };

/** A failed peer gets this long to read the last reply before the connection is cut. */
const LINGER_MS = 1_000;

/**
 * A client's bytes as the three messages of SOCKS5, one after another, each within its time. What
 * comes after a message stays in the stream, so what a client sends ahead is not lost.
 */
export class SocksStream {
  readonly #host: Host;
  readonly #stream: Duplex;
  readonly #parser: Parser;

  constructor(host: Host, stream: Duplex) {
    this.#host = host;
    this.#stream = stream;
    this.#parser = new Parser(stream);
    this.#parser.stop();
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

  request(withinMs: number): Promise<SocksRequest | ReadEnd> {
    return this.#read(withinMs, (settle) => {
      const requested = (request: Parser.Request) => settle(socksRequest(request));
      this.#parser.once('request', requested);
      this.#parser.authed = true;
      this.#parser.start();
      return () => this.#parser.off('request', requested);
    });
  }

  /** Does work that a client waits for, and sees if it leaves meanwhile. */
  async readOn<Result>(
    work: (left: AbortSignal) => Promise<Result>,
  ): Promise<{ readonly result: Result; readonly left: boolean }> {
    const leaving = new AbortController();
    const stop = watchLeaving(this.#stream, () => leaving.abort());
    const result = await work(leaving.signal);
    stop();
    return { result, left: leaving.signal.aborted };
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
    subscribe: (settle: (message: Message | ReadEnd) => void) => () => void,
  ): Promise<Message | ReadEnd> {
    return new Promise((resolve) => {
      const stream = this.#stream;
      const late = () => settle({ kind: 'timeout' });
      const cancel = this.#host.after(withinMs, late);
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
      const unsubscribe = over ? () => undefined : subscribe(settle);
      if (over) closed();
    });
  }
}
