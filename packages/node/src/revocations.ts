import type { Log } from '@argyle/host';
import type { SharedCache } from '@argyle/replica';
import type { ConnectionTable } from './connection-table.ts';
import type { Logins } from './logins.ts';
import type { NodeCounters } from './node-counters.ts';
import type { SecureConnection } from './secure-connection.ts';
import { Table } from './tables.ts';

export interface RevocationsContext {
  readonly log: Log;
  readonly cache: SharedCache;
  readonly logins: Logins;
  readonly connections: ConnectionTable;
  readonly counters: NodeCounters;
}

/**
 * Ends what was revoked, here or at another node, on open connections too. Here it takes effect
 * before the call returns; the promises end when the other members have applied it.
 */
export class Revocations {
  readonly #context: RevocationsContext;
  readonly #unwatch: readonly (() => void)[];

  constructor(context: RevocationsContext) {
    this.#context = context;
    this.#unwatch = [
      context.cache.watch(Table.revokedLineage, ({ kind, key }) => {
        if (kind === 'put') this.#cutLineage(key);
      }),
      context.cache.watch(Table.session, ({ kind, key }) => {
        if (kind === 'delete') this.#cutSession(key);
      }),
    ];
  }

  /** Rejects with a ReplicaError when not all members are known to have applied it. */
  async revokeLineages(lineages: readonly Uint8Array[]): Promise<void> {
    const written = this.#context.logins.revoke(lineages);
    for (const lineage of lineages) this.#cutLineage(lineage);
    await written;
  }

  /** As for a lineage. */
  async revokeSession(id: Uint8Array): Promise<void> {
    const written = this.#context.cache.delete(Table.session, id);
    this.#cutSession(id);
    await written;
  }

  /** Their entries are gone or changed: their connections end, and their lineages everywhere. */
  async endUsers(users: readonly string[]): Promise<void> {
    if (users.length === 0) return;
    const { connections, logins, log } = this.#context;
    const lineages = logins.lineagesOf(users);
    const cut = this.#cut(connections.ofUsers(users), 'user');
    log.info({ users: users.length, lineages: lineages.length, cut }, 'users removed or changed');
    await this.revokeLineages(lineages);
  }

  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
  }

  #cutLineage(lineage: Uint8Array): void {
    this.#cut(this.#context.connections.ofLineage(lineage), 'lineage');
  }

  #cutSession(id: Uint8Array): void {
    this.#cut(this.#context.connections.ofSession(id), 'session');
  }

  #cut(connections: readonly SecureConnection[], reason: 'lineage' | 'session' | 'user'): number {
    for (const connection of connections) {
      this.#context.counters.cut.add([reason]);
      connection.cut();
    }
    return connections.length;
  }
}
