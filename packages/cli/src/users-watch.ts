import { statSync } from 'node:fs';
import type { Log } from '@argyle/host';
import { ConfigError, Findings } from './config/problem.ts';
import { readUsers, type Users } from './config/users-file.ts';

/** A removed user is refused at most this long after the file was saved. */
const POLL_MS = 500;

/**
 * Reads a list of users again whenever its file changes, or on `reload`. A file that is wrong
 * changes nothing and is reported: the users that were known stay.
 */
export class UsersWatch {
  readonly #file: string;
  readonly #log: Log;
  readonly #changed: (users: Users) => void;
  #timer: NodeJS.Timeout | undefined;
  #seen: string;

  constructor(file: string, log: Log, changed: (users: Users) => void) {
    this.#file = file;
    this.#log = log;
    this.#changed = changed;
    this.#seen = fingerprint(file);
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      const now = fingerprint(this.#file);
      if (now !== this.#seen) this.reload();
    }, POLL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  reload(): void {
    this.#seen = fingerprint(this.#file);
    const findings = new Findings();
    const users = readUsers(this.#file, findings);
    for (const warning of findings.warnings) this.#log.warn({ event: 'exposed' }, warning);
    if (!users) {
      const { message } = new ConfigError(findings.problems);
      this.#log.error({ event: 'users-refused' }, `the users stay as they were: ${message}`);
      return;
    }
    this.#changed(users);
    this.#log.info({ event: 'users', users: users.size }, `${users.size} users read`);
  }
}

/** Changes with the file. It is polled, because watching follows neither renames nor mounts. */
function fingerprint(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false, bigint: true });
  return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : '';
}
