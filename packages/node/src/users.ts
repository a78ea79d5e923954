import { createHash, timingSafeEqual } from 'node:crypto';
import type { Host } from '@argyle/host';
import { CREDENTIAL_BYTES } from './login-record.ts';
import { NodeError } from './node-error.ts';
import type { UserEntry } from './options.ts';
import {
  parsePasswordEntry,
  SALT_BYTES,
  unusableEntry,
  verifyPassword,
  type PasswordEntry,
} from './password.ts';

/**
 * `busy`: too many checks wait already. `left`: whoever gave it went before its turn. Nothing was
 * checked then.
 */
export type PasswordResult = 'accepted' | 'wrong' | 'unknown' | 'busy' | 'left';

/** As many as leave the runtime's four pool threads something for name look-ups. */
const CHECKS_AT_ONCE = 2;
/** About five seconds of checks; later ones would only time out. */
const CHECKS_WAITING_MAX = 128;

/** The users that this node knows, and the one place where passwords are checked. */
export class Users {
  readonly #nobody: PasswordEntry;
  readonly #waiting: (() => void)[] = [];
  #checking = 0;
  #users: ReadonlyMap<string, KnownUser>;

  /** Throws a NodeError for an entry that is none; it names the user, never the entry. */
  constructor(host: Host, users: ReadonlyMap<string, UserEntry>) {
    this.#users = parseUsers(users);
    // As long as a real hash, so that comparing takes as long too.
    this.#nobody = unusableEntry(host.random(SALT_BYTES), host.random(32));
  }

  /** Those who are gone, or whose entry is another now. */
  replace(users: ReadonlyMap<string, UserEntry>): readonly string[] {
    const before = this.#users;
    this.#users = parseUsers(users);
    return [...before.keys()].filter((name) => {
      const credential = before.get(name)?.credential;
      return credential === undefined || !this.holds(name, credential);
    });
  }

  groups(name: string): readonly string[] {
    return this.#users.get(name)?.groups ?? [];
  }

  /** A fingerprint of the entry, which changes with the password; undefined for nobody. */
  credential(name: string): Uint8Array | undefined {
    return this.#users.get(name)?.credential;
  }

  /** Whether the user exists and his entry still is the one with that fingerprint. */
  holds(name: string, credential: Uint8Array): boolean {
    const own = this.credential(name);
    return own?.length === credential.length && timingSafeEqual(own, credential);
  }

  /**
   * Takes as long for a user who does not exist as for one who does. `waits`: whether anybody still
   * waits for it, asked when its turn has come.
   */
  async check(name: string, password: string, waits = () => true): Promise<PasswordResult> {
    if (this.#checking >= CHECKS_AT_ONCE) {
      if (this.#waiting.length >= CHECKS_WAITING_MAX) return 'busy';
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#checking += 1;
    }
    try {
      if (!waits()) return 'left';
      const user = this.#users.get(name);
      const same = await verifyPassword(password, user?.password ?? this.#nobody);
      // A user who was removed or changed meanwhile gave no password of his present entry.
      if (!user || !this.holds(name, user.credential)) return 'unknown';
      return same ? 'accepted' : 'wrong';
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#checking -= 1;
    }
  }
}

interface KnownUser {
  readonly password: PasswordEntry;
  readonly groups: readonly string[];
  readonly credential: Uint8Array;
}

function parseUsers(users: ReadonlyMap<string, UserEntry>): ReadonlyMap<string, KnownUser> {
  return new Map([...users].map(([name, entry]) => [name, parseUser(name, entry)]));
}

function parseUser(name: string, entry: UserEntry): KnownUser {
  const password = parsePasswordEntry(entry.password);
  const nameBytes = Buffer.byteLength(name);
  // RFC 1929: a name has 1 to 255 bytes.
  if (nameBytes < 1 || nameBytes > 255) {
    throw new NodeError('bad-user', `a user's name has 1 to 255 bytes, this one ${nameBytes}`);
  }
  if (!password) {
    const wanted = 'scrypt$N$r$p$salt$hash, as `argyle user add` makes it';
    throw new NodeError('bad-user', `users: the password of ${name}: wanted ${wanted}`);
  }
  const digest = createHash('sha256').update(`argyle credential 1\n${name}\n${entry.password}`);
  const credential = digest.digest().subarray(0, CREDENTIAL_BYTES);
  return { password, groups: entry.groups, credential };
}
