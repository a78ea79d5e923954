import type { Endpoint, Network } from '@argyle/host';
import { formatAddress } from '@argyle/host';
import type { Used } from './second-chance.ts';
import type { Family } from './udp-relay-socket.ts';
import type { UdpRefusal } from './udp-counters.ts';

/** Where an address's datagrams go. */
export interface Way {
  readonly address: Network;
  readonly family: Family;
  readonly endpoint: Endpoint;
}

/** One destination that a client has named, and what was found out about it. */
export interface RelayDestination extends Used {
  /** As the client sends it, RSV and FRAG included. */
  readonly header: Buffer;
  /** The header from ATYP on, as text: what it is remembered under. */
  readonly key: string;
  /** An address or a name. */
  readonly host: string;
  readonly port: number;
  /** Undefined before it is known, and where it may not go. */
  way: Way | undefined;
  /** Why nothing goes there, when there is no way. */
  refusal: UdpRefusal | undefined;
  /** Monotonic: then the name is looked up again. Infinity for addresses. */
  until: number;
  /** Until the name is looked up; undefined while it is not being. */
  waiting: Uint8Array[] | undefined;
}

export function wayTo(address: Network, port: number): Way {
  const family = address.bytes.length === 4 ? 4 : 6;
  return { address, family, endpoint: { address: formatAddress(address), port } };
}

/** Whether a datagram names this destination: its header, FRAG aside, which is 0 here as there. */
export function hasHeader(datagram: Uint8Array, header: Uint8Array): boolean {
  if (datagram.length < header.length) return false;
  // From the end: destinations differ there first.
  for (let at = header.length - 1; at >= 0; at -= 1) {
    if (datagram[at] !== header[at]) return false;
  }
  return true;
}
