/**
 * The distributed cache's interface (the patent's API 902): GET answers from local memory; ADD,
 * UPDATE, DELETE and PURGE apply locally at once and end when every required member has applied
 * them.
 */
export interface SharedCache {
  /** False until this member has synchronised: then a miss proves nothing. */
  readonly ready: boolean;
  /** From local memory. Never a record past its expiry. The bytes are the caller's. */
  get(table: number, key: Uint8Array): CacheEntry | undefined;
  /** Upsert. `expiresAt`: wall milliseconds since 1970. Rejects with a ReplicaError. */
  add(table: number, key: Uint8Array, value: Uint8Array, expiresAt: number): Promise<Replicated>;
  /** As ADD; it carries the whole record, so that it may overtake its ADD. */
  update(table: number, key: Uint8Array, value: Uint8Array, expiresAt: number): Promise<Replicated>;
  /**
   * As ADD for each of 1 to 16 records, all of which travel as one message and end together: they
   * cost one write. None is added when there is no room for all.
   */
  addAll(records: readonly NewRecord[]): Promise<Replicated>;
  delete(table: number, key: Uint8Array): Promise<Replicated>;
  /** Every record written before it is gone, everywhere. */
  purge(): Promise<Replicated>;
  /**
   * Calls for every write by *another* member that reaches this one in the table, also for one that
   * is older than what is held here; the answer ends it. The bytes are the caller's.
   */
  watch(table: number, listener: (change: RemoteChange) => void): () => void;
  /** Live records of one table, for listings; a bounded number. */
  list(table: number, limit: number): readonly ListedEntry[];
}

export interface NewRecord {
  readonly table: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Wall milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface CacheEntry {
  readonly value: Uint8Array;
  readonly expiresAt: number;
}

export interface ListedEntry extends CacheEntry {
  readonly key: Uint8Array;
}

export interface RemoteChange {
  readonly kind: 'put' | 'delete';
  readonly key: Uint8Array;
}

export interface Replicated {
  /** Members besides this one that applied the write; 0 for a member that is alone. */
  readonly members: number;
}

/**
 * `timeout`: not all required members applied it within the bound (it is applied here and still on
 * its way). `restarted`: this member left its group and joins anew; the record is exchanged at the
 * next exchange. `full`: the cache or the send queue has no room. `expired`: the record's expiry
 * has passed. `closed`: the member is shutting down. `name`: a live member bears this one's name.
 */
export type ReplicaErrorCode = 'timeout' | 'restarted' | 'full' | 'expired' | 'closed' | 'name';

export class ReplicaError extends Error {
  readonly code: ReplicaErrorCode;
  constructor(code: ReplicaErrorCode, message: string) {
    super(message);
    this.name = 'ReplicaError';
    this.code = code;
  }
}
