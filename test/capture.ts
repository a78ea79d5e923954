import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

const START_MS = 10_000;
/** The kernel hands packets on when a block is full or after this; then the file has them. */
const FLUSH_MS = 1_500;

/** What `tcpdump` sees on the loopback interface. It needs its rights: run as root. */
export class Capture {
  readonly #child: ChildProcess;
  readonly #file: string;

  /** `filter` as in pcap-filter(7). */
  static async start(file: string, filter: string): Promise<Capture> {
    const { NODE_OPTIONS: _hooks, ...env } = process.env;
    const args = ['-i', 'lo', '-s', '0', '-U', '-B', '16384', '-Z', 'root', '-w', file, filter];
    const child = spawn('tcpdump', args, { stdio: ['ignore', 'ignore', 'pipe'], env });
    let said = '';
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`tcpdump does not start: ${said}`)), START_MS);
    child.stderr.on('data', (text: Buffer) => {
      said += text.toString();
      if (said.includes('listening on')) resolve();
    });
    child.once('exit', () => reject(new Error(`tcpdump: ${said}`)));
    await promise.finally(() => clearTimeout(timer));
    return new Capture(child, file);
  }

  constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.#file = file;
  }

  /** Ends it; everything that it saw, with the file's and the packets' headers. */
  async stop(): Promise<Buffer> {
    if (this.#child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGINT');
      await exited;
    }
    return readFileSync(this.#file);
  }
}
