import type { Socket } from 'node:net';

/** A client's end of a connection, which keeps what it was given. */
export class ByteClient<Stream extends Socket = Socket> {
  readonly socket: Stream;
  readonly #changed = new Set<() => void>();
  #received = Buffer.alloc(0);
  #ended = false;

  constructor(socket: Stream) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.changed();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#ended = true;
      this.changed();
    });
  }

  get received(): Buffer {
    return this.#received;
  }

  /** That many bytes, taken from what came. Rejects when the connection ends before. */
  async read(sizeBytes: number): Promise<Buffer> {
    await this.until(() => this.#received.length >= sizeBytes);
    const bytes = this.#received.subarray(0, sizeBytes);
    this.#received = this.#received.subarray(sizeBytes);
    return bytes;
  }

  /** Up to the next line feed. */
  async line(): Promise<string> {
    await this.until(() => this.#received.includes(10));
    return String(await this.read(this.#received.indexOf(10) + 1)).trimEnd();
  }

  write(bytes: Uint8Array | readonly number[]): void {
    this.socket.write(Uint8Array.from(bytes));
  }

  async closed(): Promise<void> {
    await this.until(() => this.#ended).catch(() => undefined);
  }

  end(): void {
    this.socket.destroy();
  }

  protected changed(): void {
    for (const listener of this.#changed) listener();
  }

  protected until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!condition() && !this.#ended) return;
        this.#changed.delete(check);
        if (condition()) resolve();
        else reject(new Error('the connection ended'));
      };
      this.#changed.add(check);
      check();
    });
  }
}
