import assert from 'node:assert/strict';
import type { Host } from '@argyle/host';
import type { BeforeLogin, Place } from './before-login.ts';
import { wallTime, type HoldEnd } from './hold.ts';
import type { Logins } from './logins.ts';
import type { SessionOptions } from './options.ts';
import { LINEAGE_BYTES } from './session-record.ts';
import type { KeptSession, SessionStore } from './session-store.ts';

/** `limit`: the address has too many without a login. `ended`: the lineage is past its bound. */
export type KeepEnd = HoldEnd | 'limit' | 'ended';

export interface NewSession {
  readonly id: Uint8Array;
  readonly der: Uint8Array;
  readonly trust: Uint8Array;
}

export interface SessionsContext {
  readonly host: Host;
  readonly store: SessionStore;
  readonly logins: Logins;
  readonly beforeLogin: BeforeLogin;
  readonly options: SessionOptions;
}

/**
 * The lineage of one connection and the sessions that the cluster keeps of it. It begins a lineage
 * of its own, and joins another only when `inherit` is called: after the library has said that the
 * session was resumed, and never on the strength of an answer.
 */
export class ConnectionSessions {
  readonly #context: SessionsContext;
  readonly #address: string;
  readonly #kept: KeptSession[] = [];
  /** Drawn when it is asked for: most connections join one. */
  #lineage: Uint8Array | undefined;
  #boundAt: number;
  #place: Place | undefined;
  #state: 'before login' | 'admitted' | 'abandoned' = 'before login';

  /** `address`: whom sessions without a login are counted against. */
  constructor(context: SessionsContext, address: string) {
    this.#context = context;
    this.#address = address;
    this.#boundAt = wallTime(context.host) + context.options.lineageMs;
  }

  get lineage(): Uint8Array {
    return (this.#lineage ??= this.#context.host.random(LINEAGE_BYTES));
  }

  /** Those that this connection made or, in TLS 1.2, resumed. */
  get kept(): readonly KeptSession[] {
    return this.#kept;
  }

  /** `goesOn`: the client keeps the session that it resumed and gets no new one (TLS 1.2). */
  inherit(resumed: KeptSession, options: { goesOn: boolean }): void {
    this.#lineage = resumed.record.lineage;
    this.#boundAt = resumed.record.boundAt;
    if (options.goesOn && !this.#context.options.singleUse) this.#kept.push(resumed);
  }

  /** No session outlives the certificate that it was made with; 0 ends it at once. */
  endWith(certificateEnd: number): void {
    assert(certificateEnd >= 0);
    this.#boundAt = Math.min(this.#boundAt, certificateEnd);
  }

  /** Ends when the members have them, or the bound has passed, or they are not kept at all. */
  async keep(sessions: readonly NewSession[]): Promise<KeepEnd> {
    const { host, beforeLogin, store } = this.#context;
    const until = this.#until();
    if (until <= wallTime(host) || this.#state === 'abandoned') return 'ended';
    if (this.#state === 'before login') {
      const place = beforeLogin.take(this.#address, sessions.length);
      if (!place) return 'limit';
      this.#place = place;
    }
    const kept = sessions.map(({ id, der, trust }) => {
      const createdAt = wallTime(host);
      const [lineage, boundAt] = [this.lineage, this.#boundAt];
      return { id, record: { lineage, trust, createdAt, until, boundAt, der } };
    });
    this.#kept.push(...kept);
    return store.write(kept);
  }

  /**
   * From now on its sessions live as long as they may. With a password they carry the login too;
   * the user is told of success only when this has ended.
   */
  admit(login?: { user: string; standsIn: boolean }): Promise<HoldEnd> {
    const { host, logins, beforeLogin, store } = this.#context;
    if (this.#state === 'abandoned') return Promise.resolve('done');
    this.#state = 'admitted';
    if (this.#place) beforeLogin.release(this.#place);
    const renewed = this.#renew();
    const boundAt = this.#boundAt;
    // A lineage that has ended carries nothing.
    const carried = boundAt > wallTime(host) ? login : undefined;
    const record = carried && logins.record(this.lineage, { ...carried, boundAt });
    return store.write(renewed, record ? [record] : []);
  }

  /** The handshake never ended: whoever began it may not have the keys. */
  abandon(): void {
    this.#state = 'abandoned';
    if (this.#place) this.#context.beforeLogin.release(this.#place);
    this.#context.store.forget(this.#kept.splice(0));
  }

  /** Those that would end much earlier than a session made now. */
  #renew(): readonly KeptSession[] {
    const until = this.#until();
    const renewed: KeptSession[] = [];
    this.#kept.forEach(({ id, record }, index) => {
      if (until - record.until <= this.#context.options.idleMs / 2) return;
      const session = { id, record: { ...record, until } };
      this.#kept[index] = session;
      renewed.push(session);
    });
    return renewed;
  }

  #until(): number {
    const { host, options } = this.#context;
    const lifeMs = this.#state === 'admitted' ? options.idleMs : options.beforeLoginMs;
    return Math.min(wallTime(host) + lifeMs, this.#boundAt);
  }
}
