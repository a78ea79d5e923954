import type { Log } from '@argyle/host';
import type { SharedCache } from '@argyle/replica';
import type { AssociationStore } from './association-store.ts';
import { SESSION_ID_BYTES } from './client-hello.ts';
import type { ClientConnection } from './client-connection.ts';
import type { ConnectionTable } from './connection-table.ts';
import type { Logins } from './logins.ts';
import type { NodeCounters } from './node-counters.ts';
import type { SecureAssociations } from './secure-associations.ts';
import { Table } from './tables.ts';

export interface RevocationsContext {
  readonly log: Log;
  readonly cache: SharedCache;
  readonly logins: Logins;
  readonly connections: ConnectionTable;
  readonly associations: Pick<SecureAssociations, 'end' | 'endLineage'>;
  readonly associationStore: Pick<AssociationStore, 'of'>;
  readonly counters: NodeCounters;
}

/**
 * Ends what was revoked, here or at another node, on open connections too. Here it takes effect
 * before the call returns; the promises end when the other members have applied it.
 */
export class Revocations {
  readonly #context: RevocationsContext;
  readonly #unwatch: () => void;

  constructor(context: RevocationsContext) {
    this.#context = context;
    this.#unwatch = context.cache.watch(Table.revoked, ({ kind, key }) => {
      if (kind === 'put') this.#cutOff(key);
    });
  }

  /**
   * `keys`: lineages, or session ids. Rejects with a ReplicaError when not all members are known to
   * have applied it.
   */
  async revoke(keys: readonly Uint8Array[]): Promise<void> {
    const { logins, associations, associationStore } = this.#context;
    const ended = associationStore.of({ lineages: keys, users: [] });
    const written = logins.revoke(keys);
    for (const key of keys) this.#cutOff(key);
    associations.end(ended, 'deleted');
    await written;
  }

  /** Their entries are gone or changed: their connections end, and their lineages everywhere. */
  async endUsers(users: readonly string[]): Promise<void> {
    if (users.length === 0) return;
    const { connections, logins, associations, associationStore, log } = this.#context;
    const lineages = logins.lineagesOf(users);
    const cut = this.#cut(connections.ofUsers(users), 'user');
    associations.end(associationStore.of({ lineages: [], users }), 'deleted');
    log.info({ users: users.length, lineages: lineages.length, cut }, 'users removed or changed');
    await this.revoke(lineages);
  }

  close(): void {
    this.#unwatch();
  }

  #cutOff(key: Uint8Array): void {
    const { connections, associations } = this.#context;
    if (key.length === SESSION_ID_BYTES) this.#cut(connections.ofSession(key), 'session');
    else {
      this.#cut(connections.ofLineage(key), 'lineage');
      associations.endLineage(key);
    }
  }

  #cut(connections: readonly ClientConnection[], reason: 'lineage' | 'session' | 'user'): number {
    for (const connection of connections) {
      this.#context.counters.cut.add([reason]);
      connection.cut();
    }
    return connections.length;
  }
}
