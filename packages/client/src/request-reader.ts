import type { Socket } from 'node:net';
import Parser from 'socksv5/lib/server.parser.js';

/** `silent`: the application left first. Otherwise what RFC 1928 does not know, or we do not. */
export type ReadFault = Parser.ParseError['code'] | 'silent';

export interface LocalRequest {
  readonly command: 'connect' | 'bind' | 'udp';
  /** The request as it came, but for its reserved byte: it goes to the node like this. */
  readonly bytes: Buffer;
}

/** RFC 1928 §4: the byte that must be zero. */
const RESERVED = 2;

/**
 * Reads an application's greeting and request with socksv5's parser, and keeps the bytes of the
 * request, because the parser's strings would not give back every name. The socket is paused
 * afterwards and holds what followed.
 */
export class RequestReader {
  readonly #socket: Socket;
  readonly #parser: Parser;
  #chunks: Buffer[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#parser = new Parser(this.#recorded());
  }

  /** The methods that the application offers. */
  methods(): Promise<Buffer | ReadFault> {
    return this.#next((resolve) => this.#parser.once('methods', resolve));
  }

  /** To be called after the method was selected. */
  request(): Promise<LocalRequest | ReadFault> {
    this.#chunks = [];
    this.#parser.authed = true;
    const read = this.#next<LocalRequest>((resolve) =>
      this.#parser.once('request', ({ cmd }) => {
        const bytes = Buffer.concat(this.#chunks);
        bytes[RESERVED] = 0;
        resolve({ command: cmd, bytes });
      }),
    );
    this.#parser.start();
    return read;
  }

  #next<Result>(listen: (resolve: (result: Result) => void) => void): Promise<Result | ReadFault> {
    return new Promise((resolve) => {
      const silent = () => end('silent');
      const fault = ({ code }: Parser.ParseError) => end(code);
      const end = (result: Result | ReadFault) => {
        this.#socket.off('end', silent);
        this.#socket.off('close', silent);
        this.#parser.removeAllListeners();
        this.#parser.on('error', () => undefined);
        resolve(result);
      };
      this.#socket.on('end', silent);
      this.#socket.on('close', silent);
      this.#parser.removeAllListeners();
      this.#parser.on('error', fault);
      listen(end);
    });
  }

  /** The socket, with a copy of what is read through it. */
  #recorded(): Parser.Source {
    const socket = this.#socket;
    const taps = new Map<(chunk: Buffer) => void, (chunk: Buffer) => void>();
    return {
      on: (event, listener) => {
        const tap = (chunk: Buffer) => {
          this.#chunks.push(chunk);
          listener(chunk);
        };
        taps.set(listener, tap);
        return socket.on(event, tap);
      },
      removeListener: (event, listener) => socket.off(event, taps.get(listener) ?? listener),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      unshift: (chunk) => {
        const read = Buffer.concat(this.#chunks);
        this.#chunks = [read.subarray(0, read.length - chunk.length)];
        return socket.unshift(chunk);
      },
    };
  }
}
