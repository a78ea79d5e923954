import type { PutOutcome } from '../src/index.ts';
import { SECOND, SKEW } from './fixture.ts';

export interface ModelEntry {
  readonly table: number;
  readonly key: Uint8Array;
  /** Undefined: a tombstone. */
  value: Uint8Array | undefined;
  expiresAt: number;
  /** In whole seconds; see `coversAt`. */
  covers: number;
  version: number;
}

/** What the cache must do, on a plain Map; it is never full. Versions are plain numbers. */
export class Model {
  readonly entries = new Map<string, ModelEntry>();
  epoch = 0;

  held(table: number, key: Uint8Array): ModelEntry | undefined {
    return this.entries.get(nameOf(table, key));
  }

  value(table: number, key: Uint8Array, now: number): Uint8Array | undefined {
    const held = this.held(table, key);
    return held && held.expiresAt > now ? held.value : undefined;
  }

  put(entry: Omit<ModelEntry, 'covers'>, now: number): PutOutcome {
    const refused = this.#refuse(entry);
    if (refused) return refused;
    const held = this.held(entry.table, entry.key);
    const covers = Math.max(held?.covers ?? 0, Math.ceil(entry.expiresAt / SECOND));
    const name = nameOf(entry.table, entry.key);
    if (entry.expiresAt > now) {
      this.entries.set(name, { ...entry, covers });
      return 'stored';
    }
    if (held) this.entries.set(name, { ...entry, value: undefined, covers });
    return 'expired';
  }

  remove(entry: Omit<ModelEntry, 'covers' | 'value'>, now: number): PutOutcome {
    const refused = this.#refuse(entry);
    if (refused) return refused;
    const held = this.held(entry.table, entry.key);
    const covers = Math.max(held?.covers ?? 0, Math.ceil(entry.expiresAt / SECOND));
    if (!held && covers * SECOND + SKEW <= now) return 'expired';
    const name = nameOf(entry.table, entry.key);
    this.entries.set(name, { ...entry, value: undefined, covers });
    return 'stored';
  }

  purge(epoch: number): boolean {
    if (epoch <= this.epoch) return false;
    this.epoch = epoch;
    for (const [name, { version }] of this.entries) {
      if (version <= epoch) this.entries.delete(name);
    }
    return true;
  }

  expire(now: number): void {
    for (const [name, entry] of this.entries) {
      const tombstoneEnds = entry.covers * SECOND + SKEW;
      if (entry.value === undefined) {
        if (tombstoneEnds <= now) this.entries.delete(name);
        continue;
      }
      const recordEnds = Math.ceil(entry.expiresAt / SECOND) * SECOND;
      if (recordEnds > now) continue;
      if (entry.covers * SECOND > recordEnds && tombstoneEnds > now) entry.value = undefined;
      else this.entries.delete(name);
    }
  }

  #refuse(entry: Omit<ModelEntry, 'covers' | 'value'>): PutOutcome | undefined {
    if (entry.version <= this.epoch) return 'purged';
    const held = this.held(entry.table, entry.key);
    if (!held || held.version < entry.version) return undefined;
    if (held.version === entry.version) return 'same';
    held.covers = Math.max(held.covers, Math.ceil(entry.expiresAt / SECOND));
    return 'stale';
  }
}

function nameOf(table: number, key: Uint8Array): string {
  return `${table}/${Buffer.from(key).toString('hex')}`;
}
