import type { Host } from '@argyle/host';
import type { NewRecord, SharedCache } from '@argyle/replica';
import { wallTime } from './hold.ts';
import { decodeLoginRecord, encodeLoginRecord, type LoginRecord } from './login-record.ts';
import { Table } from './tables.ts';
import type { Users } from './users.ts';

/** `ended`: it was made with an entry that the user no longer has. */
export type StandingLogin =
  | { readonly kind: 'none' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'standing'; readonly user: string; readonly standsIn: boolean };

/** Bounds the search for a removed user's lineages. */
const LOGINS_LISTED_MAX = 1_000_000;

/** As many as `addAll` takes. */
const WRITTEN_TOGETHER = 16;

/** The logins of lineages, and what was revoked. */
export class Logins {
  readonly #host: Host;
  readonly #cache: SharedCache;
  readonly #users: Users;
  readonly #lineageMs: number;

  constructor(host: Host, cache: SharedCache, users: Users, options: { lineageMs: number }) {
    this.#host = host;
    this.#cache = cache;
    this.#users = users;
    this.#lineageMs = options.lineageMs;
  }

  of(lineage: Uint8Array): StandingLogin {
    const record = this.#read(lineage);
    if (!record) return { kind: 'none' };
    const { user, credential, standsIn } = record;
    if (!this.#users.holds(user, credential)) return { kind: 'ended' };
    return { kind: 'standing', user, standsIn };
  }

  /**
   * The record of a login with a password; undefined when the lineage has one already, because the
   * first stands, or when the user is gone.
   */
  record(
    lineage: Uint8Array,
    login: { user: string; standsIn: boolean; boundAt: number },
  ): NewRecord | undefined {
    const { user, standsIn, boundAt } = login;
    const credential = this.#users.credential(user);
    if (!credential || this.#read(lineage)) return undefined;
    const value = encodeLoginRecord({ user, credential, standsIn });
    return { table: Table.login, key: lineage, value, expiresAt: boundAt };
  }

  /** `key`: a lineage or a session id. */
  isRevoked(key: Uint8Array): boolean {
    return this.#cache.get(Table.revoked, key) !== undefined;
  }

  /** At every node; ends when all members have applied it, or rejects with a ReplicaError. */
  async revoke(keys: readonly Uint8Array[]): Promise<void> {
    const expiresAt = wallTime(this.#host) + this.#lineageMs;
    const records = keys.map((key) => ({
      table: Table.revoked,
      key,
      value: new Uint8Array(1),
      expiresAt,
    }));
    const writes: Promise<unknown>[] = [];
    for (let at = 0; at < records.length; at += WRITTEN_TOGETHER) {
      writes.push(this.#cache.addAll(records.slice(at, at + WRITTEN_TOGETHER)));
    }
    await Promise.all(writes);
  }

  /** Lineages whose login is one of these users'. */
  lineagesOf(users: readonly string[]): readonly Uint8Array[] {
    const wanted = new Set(users);
    return this.#cache
      .list(Table.login, LOGINS_LISTED_MAX)
      .filter(({ value }) => wanted.has(decodeLoginRecord(value)?.user ?? ''))
      .map(({ key }) => key);
  }

  #read(lineage: Uint8Array): LoginRecord | undefined {
    const entry = this.#cache.get(Table.login, lineage);
    return entry && decodeLoginRecord(entry.value);
  }
}
