import { statSync } from 'node:fs';
import type { Log } from '@argyle/host';
import { ConfigError, Findings } from './config/problem.ts';

/** What has changed in a file takes effect at most this long after it was saved. */
const POLL_MS = 500;

export interface WatchedFile<Contents> {
  readonly file: string;
  /** What it holds, as the log calls it. */
  readonly event: 'users' | 'keys';
  /** Undefined when anything is wrong, which is reported then. */
  readonly read: (findings: Findings) => Contents | undefined;
  /** The answer tells what was taken, or throws away what cannot be. */
  readonly take: (contents: Contents) => Taken;
}

export type Taken =
  | { readonly told: string; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly refused: string };

/**
 * Reads a file again whenever it changes, or on `reload`. One that is wrong changes nothing and is
 * reported: what was known stays.
 */
export class FileWatch<Contents> {
  readonly #watched: WatchedFile<Contents>;
  readonly #log: Log;
  #timer: NodeJS.Timeout | undefined;
  #seen: string;

  constructor(watched: WatchedFile<Contents>, log: Log) {
    this.#watched = watched;
    this.#log = log;
    this.#seen = fingerprint(watched.file);
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      if (fingerprint(this.#watched.file) !== this.#seen) this.reload();
    }, POLL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  reload(): void {
    const { file, event, read, take } = this.#watched;
    this.#seen = fingerprint(file);
    const findings = new Findings();
    const contents = read(findings);
    for (const warning of findings.warnings) this.#log.warn({ event: 'exposed' }, warning);
    if (contents === undefined) return this.#refuse(new ConfigError(findings.problems).message);
    const taken = take(contents);
    if ('refused' in taken) return this.#refuse(taken.refused);
    this.#log.info({ event, ...taken.fields }, taken.told);
  }

  #refuse(why: string): void {
    const { event } = this.#watched;
    this.#log.error({ event: `${event}-refused` }, `the ${event} stay as they were: ${why}`);
  }
}

/** Changes with the file. It is polled, because watching follows neither renames nor mounts. */
function fingerprint(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false, bigint: true });
  return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : '';
}
