import type { Host } from '@argyle/host';
import type { CacheEntry, SharedCache } from '@argyle/replica';
import {
  decodeAssociationRecord,
  encodeAssociationRecord,
  type AssociationRecord,
} from '@argyle/secure-udp';
import { held, wallTime, type HoldEnd } from './hold.ts';
import type { Logins } from './logins.ts';
import { Table } from './tables.ts';

export interface AssociationStoreContext {
  readonly host: Host;
  readonly cache: SharedCache;
  readonly logins: Pick<Logins, 'isRevoked'>;
  /** How long whoever asks for an association waits for the members to have it. */
  readonly holdMs: number;
}

/** `gone`: what is known of it was deleted. */
export interface AssociationChange {
  readonly id: string;
  readonly record: AssociationRecord | undefined;
}

/** Bounds listings and the search for what a lineage or a user has. */
export const ASSOCIATIONS_LISTED_MAX = 1_000_000;

/**
 * The cluster's associations, by id in hexadecimal. A record lives for a grace time and is renewed
 * by whoever hears of the client. Writes that nobody waits for are repaired by the cluster.
 */
export class AssociationStore {
  readonly #context: AssociationStoreContext;

  constructor(context: AssociationStoreContext) {
    this.#context = context;
  }

  /** Nothing before the cache has synchronised, nor of a lineage that was revoked. */
  find(id: string): AssociationRecord | undefined {
    return this.#read(id)?.record;
  }

  add(id: string, record: AssociationRecord): Promise<HoldEnd> {
    const { host, holdMs } = this.#context;
    return held(host, this.#write(id, record), holdMs);
  }

  /** False if there is none to be changed. */
  change(id: string, change: Partial<AssociationRecord>): boolean {
    const record = this.find(id);
    if (record) this.#write(id, { ...record, ...change }).catch(() => undefined);
    return record !== undefined;
  }

  /** For another grace time. False if there is none. */
  renew(id: string): boolean {
    return this.change(id, {});
  }

  /** Unless it was renewed lately, by anybody. */
  keep(id: string): void {
    const { host } = this.#context;
    const found = this.#read(id);
    if (!found) return;
    const leftMs = found.entry.expiresAt - wallTime(host);
    if (leftMs < found.record.graceMs / 2) this.renew(id);
  }

  delete(id: string): void {
    this.#context.cache.delete(Table.association, keyOf(id)).catch(() => undefined);
  }

  /** Whose lineage or user is one of these. */
  of(owners: {
    readonly lineages: readonly Uint8Array[];
    readonly users: readonly string[];
  }): readonly string[] {
    const lineages = new Set(owners.lineages.map(hex));
    const users = new Set(owners.users);
    users.delete('');
    return this.list(ASSOCIATIONS_LISTED_MAX).flatMap(({ id, record }) =>
      lineages.has(hex(record.lineage)) || users.has(record.user) ? [id] : [],
    );
  }

  list(limit: number): readonly {
    readonly id: string;
    readonly record: AssociationRecord;
    readonly expiresAt: number;
  }[] {
    return this.#context.cache.list(Table.association, limit).flatMap(({ key, ...entry }) => {
      const record = decodeAssociationRecord(entry.value);
      return record ? [{ id: hex(key), record, expiresAt: entry.expiresAt }] : [];
    });
  }

  /**
   * Tells what other members have written; the answer ends it. A record that outlived its deletion,
   * because it was renewed elsewhere at the same time, is deleted again.
   */
  watch(changed: (change: AssociationChange) => void): () => void {
    return this.#context.cache.watch(Table.association, ({ kind, key }) => {
      const id = hex(key);
      const record = this.find(id);
      if (kind === 'put') {
        if (record) changed({ id, record });
        return;
      }
      if (record) this.delete(id);
      changed({ id, record: undefined });
    });
  }

  #read(
    id: string,
  ): { readonly entry: CacheEntry; readonly record: AssociationRecord } | undefined {
    const { cache, logins } = this.#context;
    // Before it has synchronised, a node has not seen all that was deleted either.
    const entry = cache.ready ? cache.get(Table.association, keyOf(id)) : undefined;
    const record = entry && decodeAssociationRecord(entry.value);
    if (!record || logins.isRevoked(record.lineage)) return undefined;
    return { entry, record };
  }

  async #write(id: string, record: AssociationRecord): Promise<void> {
    const { host, cache } = this.#context;
    const expiresAt = wallTime(host) + record.graceMs;
    await cache.add(Table.association, keyOf(id), encodeAssociationRecord(record), expiresAt);
  }
}

function keyOf(id: string): Uint8Array {
  return Buffer.from(id, 'hex');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
