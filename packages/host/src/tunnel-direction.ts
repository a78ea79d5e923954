import type { Duplex } from 'node:stream';
import { ChunkReader, encodeDataHeader, encodeEnd, type ChunkProgress } from './chunks.ts';
import type { Host } from './host.ts';

export interface DirectionOptions {
  readonly host: Host;
  readonly source: Duplex;
  readonly sink: Duplex;
  /** The source's bytes leave as chunks. */
  readonly wrap?: boolean;
  /** The source's bytes are chunks. */
  readonly unwrap?: boolean;
  readonly handlers: {
    /** The last byte was handed to the sink, and its end as well. */
    ended(): void;
    /** The source of chunks came to an end before END, or makes no sense. */
    broken(): void;
  };
}

/** Below this, header and payload are copied into one write, which costs less than two. */
const COPY_BYTES_MAX = 4_096;

/** One way through a tunnel: at most one chunk beyond what the sink's buffer asks for. */
export class Direction {
  /** Of payload. */
  bytes = 0;
  /** When a byte was last read, or the sink last took all it had. */
  movedAt: number;
  ended = false;
  /** What the source of chunks said after END. */
  rest: Buffer = Buffer.alloc(0);
  readonly #options: DirectionOptions;
  readonly #chunks: ChunkReader | undefined;

  constructor(options: DirectionOptions) {
    this.#options = options;
    this.#chunks = options.unwrap ? new ChunkReader() : undefined;
    this.movedAt = options.host.now();
  }

  start(): void {
    const { source, sink } = this.#options;
    if (source.readableEnded) {
      this.#sourceEnded();
      return;
    }
    source.on('data', this.#read);
    source.once('end', this.#sourceEnded);
    sink.on('drain', this.#drained);
    if (sink.writableNeedDrain) source.pause();
    else source.resume();
  }

  /** Leaves both streams to others. */
  stop(): void {
    const { source, sink } = this.#options;
    source.off('data', this.#read).off('end', this.#sourceEnded);
    sink.off('drain', this.#drained);
  }

  readonly #read = (bytes: Buffer): void => {
    const { host, source, sink, handlers } = this.#options;
    this.movedAt = host.now();
    if (!this.#chunks) this.#pass(bytes);
    else if (this.ended) handlers.broken();
    else this.#progressed(this.#chunks.read(bytes, this.#pass));
    if (sink.writableNeedDrain) source.pause();
  };

  readonly #pass = (payload: Buffer): void => {
    const { sink, wrap } = this.#options;
    this.bytes += payload.length;
    if (!wrap) {
      sink.write(payload);
      return;
    }
    const header = encodeDataHeader(payload.length);
    if (payload.length <= COPY_BYTES_MAX) {
      sink.write(Buffer.concat([header, payload]));
      return;
    }
    sink.cork();
    sink.write(header);
    sink.write(payload);
    sink.uncork();
  };

  #progressed(progress: ChunkProgress): void {
    if (progress.kind === 'malformed') this.#options.handlers.broken();
    else if (progress.kind === 'ended') {
      this.rest = progress.rest;
      this.#options.sink.end();
      this.#end();
    }
  }

  readonly #sourceEnded = (): void => {
    const { sink, wrap, handlers } = this.#options;
    if (this.#chunks) {
      handlers.broken();
      return;
    }
    if (wrap) sink.write(encodeEnd());
    else sink.end();
    this.#end();
  };

  #end(): void {
    this.ended = true;
    this.#options.handlers.ended();
  }

  readonly #drained = (): void => {
    this.movedAt = this.#options.host.now();
    this.#options.source.resume();
  };
}
