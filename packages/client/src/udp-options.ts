import type { Endpoint } from '@argyle/host';

/** How a client carries datagrams. */
export interface UdpOptions {
  /** Other nodes that each association has an epoch at: 0 to 2. */
  readonly standbys: number;
  /** What has no receipt when a node falls silent is sent again: so many, so old. */
  readonly resend: { readonly datagrams: number; readonly ageMs: number };
  /** What the path to the nodes carries in a UDP datagram; larger payloads are refused. */
  readonly datagramBytes: number;
  /** Whether datagrams go over the TLS connection while no node answers over UDP. */
  readonly fallback: boolean;
  /** Associations at once, of applications and of forwards. */
  readonly associations: number;
  /** A forward's association ends when nothing passed for so long. */
  readonly idleMs: number;
}

/** A port here that leads to one target, as a node reaches it. */
export interface Forward {
  readonly protocol: 'udp' | 'tcp';
  readonly listen: Endpoint;
  /** A name or an address. */
  readonly target: { readonly host: string; readonly port: number };
}
