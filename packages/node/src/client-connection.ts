import type { Socket } from 'node:net';
import type { HoldEnd } from './hold.ts';
import type { LoginBasis } from './node-counters.ts';

export interface Admission {
  readonly basis: LoginBasis;
  /** Undefined for whoever needed no name. */
  readonly user: string | undefined;
}

/** A client that may speak SOCKS5 now: over TLS, or in clear from where that is allowed. */
export interface ClientConnection {
  readonly socket: Socket;
  /** As limits count it. */
  readonly address: string;
  /** Our client: many requests side by side after the login. */
  readonly speaksArgyle: boolean;
  /** Who it is before it has said anything. */
  readonly known: Admission | undefined;
  /** Whoever it is counted as now; undefined before it was admitted. */
  readonly admission: Admission | undefined;
  /** Of its TLS sessions. */
  readonly lineage: Uint8Array | undefined;
  /** Those that it resumed or made. */
  readonly sessionIds: readonly Uint8Array[];
  /** RFC 8446 §7.5; empty without TLS. */
  exported(sizeBytes: number, label: string): Uint8Array;
  /** Ends when what the cluster has to know of it is written; undefined when that is nothing. */
  admit(admission: Admission): Promise<HoldEnd | undefined>;
  /** Ends it at once, with all that goes through it. */
  cut(): void;
}
