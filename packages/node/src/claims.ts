import type { Host } from '@argyle/host';
import type { SharedCache } from '@argyle/replica';
import { held } from './hold.ts';
import { Table } from './tables.ts';

const TOKEN_BYTES = 16;

/**
 * Single use of sessions (DESIGN §7). A node writes a claim and may resume when every required
 * member has applied it and none of them was seen to claim the same session meanwhile.
 *
 * Two nodes never both succeed: a node succeeds only after the other one has applied its claim. If
 * the other had not begun by then, it finds the claim; if it had, it sees a contest; and if it had
 * succeeded before, its own claim was here first. Both may be refused.
 */
export class Claims {
  readonly #host: Host;
  readonly #cache: SharedCache;
  readonly #waitMs: number;
  /** By session id in hexadecimal; true once contested. */
  readonly #pending = new Map<string, boolean>();
  readonly #unwatch: () => void;

  constructor(host: Host, cache: SharedCache, options: { waitMs: number }) {
    this.#host = host;
    this.#cache = cache;
    this.#waitMs = options.waitMs;
    this.#unwatch = cache.watch(Table.claim, ({ key }) => {
      const id = hex(key);
      if (this.#pending.has(id)) this.#pending.set(id, true);
    });
  }

  /** `until`: wall milliseconds; the claim must outlive the session. */
  async claim(session: Uint8Array, until: number): Promise<boolean> {
    const id = hex(session);
    if (this.#pending.has(id) || this.#cache.get(Table.claim, session)) return false;
    this.#pending.set(id, false);
    try {
      const token = this.#host.random(TOKEN_BYTES);
      const write = this.#cache.add(Table.claim, session, token, until);
      const end = await held(this.#host, write, this.#waitMs);
      return end === 'done' && this.#pending.get(id) === false;
    } finally {
      this.#pending.delete(id);
    }
  }

  close(): void {
    this.#unwatch();
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
