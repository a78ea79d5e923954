import type { Endpoint } from '@argyle/host';
import type { Forward, UdpOptions } from './udp-options.ts';

/** All that a client is told; the CLI makes it from a configuration file. */
export interface ClientOptions {
  /** Where applications find plain SOCKS5; loopback unless the operator says otherwise. */
  readonly listen: Endpoint;
  /** Hosts may be names: each address that one has is a node. */
  readonly nodes: readonly Endpoint[];
  /** The cluster's name, sent as SNI and verified, in place of an address. */
  readonly serverName: string;
  /** PEM. */
  readonly ca: string;
  readonly user: { readonly name: string; readonly password: string } | undefined;
  /** PEM pair that the client shows when a node asks. */
  readonly certificate: { readonly certificate: string; readonly key: string } | undefined;
  /** Authenticated connections kept open ahead of requests. */
  readonly warmConnections: number;
  readonly limits: ClientLimits;
  readonly udp: UdpOptions;
  readonly forwards: readonly Forward[];
}

export interface ClientLimits {
  readonly connections: number;
  /** TCP, TLS and login of one attempt at one node. */
  readonly connectMs: number;
  /** Until an application has sent its greeting and request. */
  readonly greetingMs: number;
  /** A CONNECT, or a new association, over all attempts. */
  readonly requestMs: number;
  readonly idleMs: number;
  /** A failed node is tried again after this, doubled up to sixteen times it. */
  readonly retryMs: number;
}
