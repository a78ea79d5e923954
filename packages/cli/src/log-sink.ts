/** Writes some of the bytes, at least one, and says how many; or throws. */
export type WriteSome = (bytes: Uint8Array) => number;

/**
 * Log lines to where there may be no room: a disk that is full, a pipe that nobody empties. A node
 * serves on without its log, so what cannot be written at once is counted and dropped, and the
 * count is the first line once there is room again. A line that was begun is finished first.
 */
export class LogSink {
  readonly #writeSome: WriteSome;
  readonly #notice: (lost: number) => string;
  /** What is left of a line that was begun. */
  #begun: Uint8Array = NOTHING;
  #lost = 0;

  /** `notice` makes the line that says how many were lost. */
  constructor(writeSome: WriteSome, notice: (lost: number) => string) {
    this.#writeSome = writeSome;
    this.#notice = notice;
  }

  write(line: string): void {
    const written = this.#finish() && this.#tellLost() && this.#finish() && this.#begin(line);
    if (!written) this.#lost += 1;
  }

  #tellLost(): boolean {
    if (this.#lost === 0) return true;
    const begun = this.#begin(this.#notice(this.#lost));
    if (begun) this.#lost = 0;
    return begun;
  }

  /** False: not a byte of it was taken. */
  #begin(line: string): boolean {
    const bytes = Buffer.from(line);
    this.#begun = bytes;
    this.#finish();
    if (this.#begun.length < bytes.length) return true;
    this.#begun = NOTHING;
    return false;
  }

  #finish(): boolean {
    try {
      while (this.#begun.length > 0) {
        this.#begun = this.#begun.subarray(this.#writeSome(this.#begun));
      }
      return true;
    } catch {
      return false;
    }
  }
}

const NOTHING = new Uint8Array(0);
