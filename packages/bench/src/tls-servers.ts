import type { RunningProcess } from './processes.ts';

/** Servers that may resume each other's sessions: the first two are measured. */
export interface TlsServers extends AsyncDisposable {
  /** `ADDRESS:PORT`. */
  readonly endpoints: readonly [string, string];
  /**
   * Those of the endpoints first, then those that share their state; or one that serves both.
   */
  readonly processes: readonly RunningProcess[];
  /** TLS 1.2 resumes by session id, because there are no tickets. */
  readonly sessionIds: boolean;
  /** A resumed handshake of TLS 1.3 ends with a new ticket. */
  readonly renews: boolean;
  /** Of ALPN. */
  readonly protocol: string | undefined;
}
