/** A session on loan for one handshake. */
export interface SessionLease {
  /** An SSL_SESSION in DER, as `tls.connect` takes it. */
  readonly session: Uint8Array;
}

export interface SessionPoolStatus {
  readonly held: number;
  readonly unused: number;
  readonly newestAgeMs: number | undefined;
  readonly oldestAgeMs: number | undefined;
}

/** A resumed handshake brings one new session, a full one two: this is room for a burst. */
const CAPACITY = 32;

/** One node that refuses so many in a row is believed: fewer, and it may just not know them yet. */
const REFUSALS_BELIEVED = 3;

interface Held extends SessionLease {
  readonly addedAt: number;
  used: boolean;
}

/**
 * The TLS sessions that the cluster has given, newest first. They belong to the cluster: each may
 * be offered at any node. RFC 8446 §C.4 wants a ticket used once, so unused ones go first; a used
 * one still costs the cluster less than a full handshake and a password check.
 */
export class SessionPool {
  /** Newest first. */
  #held: Held[] = [];
  /** The nodes that refused the last ones, since one was resumed. */
  #refusedBy: number[] = [];

  get size(): number {
    return this.#held.length;
  }

  /** The bytes stay with the pool. The oldest gives way when there is no room. */
  add(session: Uint8Array, now: number): void {
    this.#held.unshift({ session, addedAt: now, used: false });
    if (this.#held.length > CAPACITY) this.#held.pop();
  }

  /** The newest unused session, else the newest; undefined when there is none. */
  take(): SessionLease | undefined {
    const held = this.#held.find(({ used }) => !used) ?? this.#held[0];
    if (held) held.used = true;
    return held;
  }

  /** It was not sent after all. */
  restore(lease: SessionLease): void {
    const held = this.#held.find((other) => other === lease);
    if (held) held.used = false;
  }

  /** It was resumed: the others may be as well. */
  accept(): void {
    this.#refusedBy = [];
  }

  /**
   * A node made a full handshake in spite of it. If another one did so before, or the same again
   * and again, those that are as old are worth no more. `alone`: no other node is known to be well.
   */
  refuse(lease: SessionLease, by: { readonly node: number; readonly alone: boolean }): void {
    this.#refusedBy.push(by.node);
    const believed =
      by.alone ||
      this.#refusedBy.length >= REFUSALS_BELIEVED ||
      this.#refusedBy.some((node) => node !== by.node);
    const refused = this.#held.find((held) => held === lease);
    if (believed) this.#refusedBy = [];
    if (!refused) return;
    this.#held = this.#held.filter((held) => {
      return held !== refused && !(believed && held.addedAt <= refused.addedAt);
    });
  }

  status(now: number): SessionPoolStatus {
    const newest = this.#held[0];
    const oldest = this.#held.at(-1);
    return {
      held: this.#held.length,
      unused: this.#held.filter(({ used }) => !used).length,
      newestAgeMs: newest && now - newest.addedAt,
      oldestAgeMs: oldest && now - oldest.addedAt,
    };
  }
}
