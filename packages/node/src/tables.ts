/** The cache's tables that a node writes. Numbers are part of what nodes of a cluster agree on. */
export const Table = {
  /** By session id: see `session-record.ts`. */
  session: 1,
  /** By lineage: see `login-record.ts`. */
  login: 2,
  /** By session id: who resumed a single-use session; 16 random bytes. */
  claim: 3,
  /** By lineage, or by session id: one byte, kept as long as a session of it could live. */
  revoked: 4,
  /** By association id (8): see secure-udp's `association-record.ts`. */
  association: 5,
} as const;
