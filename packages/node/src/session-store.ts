import type { Host } from '@argyle/host';
import type { NewRecord, SharedCache } from '@argyle/replica';
import { SESSION_ID_BYTES, type ClientHello } from './client-hello.ts';
import { held, wallTime, type HoldEnd } from './hold.ts';
import type { Logins } from './logins.ts';
import { decodeSessionRecord, encodeSessionRecord, type SessionRecord } from './session-record.ts';
import { Table } from './tables.ts';
import type { TrustContext } from './trust-context.ts';

/**
 * Why a handshake is full. `new`: no session was offered. `unknown`: not in the cache. `expired`,
 * `trust`, `revoked`, `user`: held, and not to be used. `master-secret`: TLS 1.2 without RFC 7627.
 * `no-session-id`: a ticket without a legacy session id, which the library never asks about.
 * `declined`: it was answered, and the library made a full handshake all the same.
 */
export const FULL_REASONS = [
  'new',
  'unknown',
  'expired',
  'trust',
  'revoked',
  'user',
  'not-ready',
  'no-session-id',
  'master-secret',
  'single-use',
  'declined',
] as const;
export type FullReason = (typeof FULL_REASONS)[number];

export type Verdict =
  | { readonly kind: 'full'; readonly reason: FullReason }
  | { readonly kind: 'offer'; readonly id: Uint8Array; readonly record: SessionRecord };

export interface KeptSession {
  readonly id: Uint8Array;
  readonly record: SessionRecord;
}

/**
 * Ended sessions stay this long, unused, so that `expired` can be told from `unknown`: the one is
 * a client that was away, the other may be a cluster that loses records.
 */
const ENDED_KNOWN_MS = 60_000;

/** The cluster's TLS sessions, as one listener may use them. */
export class SessionStore {
  readonly #host: Host;
  readonly #cache: SharedCache;
  readonly #logins: Logins;
  readonly #trust: TrustContext;
  readonly #holdMs: number;

  constructor(
    host: Host,
    cache: SharedCache,
    options: { logins: Logins; trust: TrustContext; holdMs: number },
  ) {
    this.#host = host;
    this.#cache = cache;
    this.#logins = options.logins;
    this.#trust = options.trust;
    this.#holdMs = options.holdMs;
  }

  /** Which session may be answered to this ClientHello. The library checks none of it (FACTS 2). */
  find(hello: ClientHello): Verdict {
    const wanted = hello.supportsTls13 ? hello.identity : hello.sessionId;
    if (hello.supportsTls13 ? !hello.offersPsk : hello.sessionId.length === 0) return full('new');
    if (hello.sessionId.length === 0) return full('no-session-id');
    if (!hello.supportsTls13 && !hello.extendedMasterSecret) return full('master-secret');
    // Before it has synchronised, a node has not seen all that was revoked either.
    if (!this.#cache.ready) return full('not-ready');
    if (wanted?.length !== SESSION_ID_BYTES) return full('unknown');

    const entry = this.#cache.get(Table.session, wanted);
    const record = entry && decodeSessionRecord(entry.value);
    if (!record) return full('unknown');
    const now = wallTime(this.#host);
    if (now >= record.until || now >= record.boundAt) return full('expired');
    if (!this.trust(hello).every((byte, at) => byte === record.trust[at])) return full('trust');
    const revoked = [record.lineage, wanted].some((key) => this.#logins.isRevoked(key));
    if (revoked) return full('revoked');
    if (this.#logins.of(record.lineage).kind === 'ended') return full('user');
    return { kind: 'offer', id: wanted, record };
  }

  trust(hello: ClientHello): Uint8Array {
    return this.#trust.of(hello.serverName);
  }

  /** Writes them, with `others`, as one message, and waits for the members in bounds. */
  write(sessions: readonly KeptSession[], others: readonly NewRecord[] = []): Promise<HoldEnd> {
    const records = sessions.map(({ id, record }) => ({
      table: Table.session,
      key: id,
      value: encodeSessionRecord(record),
      expiresAt: sessionExpiry(record),
    }));
    const all = [...others, ...records];
    if (all.length === 0) return Promise.resolve('done');
    return held(this.#host, this.#cache.addAll(all), this.#holdMs);
  }

  /** At every node. The cluster repairs a write that is late, so nobody waits for this. */
  forget(sessions: readonly KeptSession[]): void {
    for (const { id } of sessions) this.#cache.delete(Table.session, id).catch(() => undefined);
  }
}

/** When the cache may drop a session's record. */
export function sessionExpiry(record: SessionRecord): number {
  return record.until + ENDED_KNOWN_MS;
}

function full(reason: FullReason): Verdict {
  return { kind: 'full', reason };
}
