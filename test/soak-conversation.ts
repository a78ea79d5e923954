import type { Socket } from 'node:net';

/** Well above what a kill costs a request, and below the client's own limit of 20 s. */
export const VISIT_MS = 15_000;

/** A stream that is read by parts. Every wait ends with the stream. */
export class Conversation {
  readonly socket: Socket;
  /** Rejects when the stream ends or breaks; it never resolves. */
  readonly lost: Promise<never>;
  #chunks: Buffer[] = [];
  #arrived: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    const lost = Promise.withResolvers<never>();
    this.lost = lost.promise;
    this.lost.catch(() => undefined);
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#arrived?.();
    });
    socket.on('error', (error) => lost.reject(error));
    socket.on('end', () => lost.reject(new Error('ended early')));
    socket.on('close', () => {
      clearTimeout(this.#timer);
      lost.reject(new Error('closed early'));
    });
  }

  say(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Breaks the stream when the visit is still there then. */
  limit(ms: number | undefined): void {
    clearTimeout(this.#timer);
    if (ms === undefined) return;
    const late = () => this.socket.destroy(new Error(`no end within ${ms} ms`));
    this.#timer = setTimeout(late, ms);
  }

  /** Whatever comes next. */
  async next(): Promise<Buffer> {
    if (this.#chunks.length === 0) {
      const arrived = new Promise<void>((resolve) => (this.#arrived = resolve));
      await Promise.race([arrived, this.lost]);
    }
    const chunk = this.#chunks.shift();
    if (!chunk) throw new Error('nothing has come');
    return chunk;
  }

  async read(sizeBytes: number): Promise<Buffer> {
    const parts = [await this.next()];
    let length = parts[0]!.length;
    while (length < sizeBytes) {
      const part = await this.next();
      parts.push(part);
      length += part.length;
    }
    const all = Buffer.concat(parts);
    if (length > sizeBytes) this.#chunks.unshift(all.subarray(sizeBytes));
    return all.subarray(0, sizeBytes);
  }
}
