import type { Endpoint } from '@argyle/host';
import { NODES_MAX } from './home.ts';

/** The address plan of a cluster on one machine; everything follows from one base. */
export interface PortPlan {
  readonly base: number;
  readonly client: Endpoint;
}

export const PORT_BASE_DEFAULT = 11_080;
export const CLIENT_PORT_DEFAULT = 1_080;
export const LOOPBACK = '127.0.0.1';
/** RFC 2365: the organisation-local scope. */
export const GROUP_ADDRESS = '239.192.0.1';
const ADMIN_OFFSET = 1_000;
const GROUP_OFFSET = 2_000;
export const PORT_BASE_MAX = 65_535 - GROUP_OFFSET - NODES_MAX;

/** The node's TLS port; 0 is the client. */
export function nodeEndpoint(base: number, index: number): Endpoint {
  return { address: LOOPBACK, port: base + index };
}

/** 0 is the client's. */
export function adminEndpoint(base: number, index: number): Endpoint {
  return { address: LOOPBACK, port: base + ADMIN_OFFSET + index };
}

/** A member's own port in the group. */
export function memberEndpoint(base: number, index: number): Endpoint {
  return { address: LOOPBACK, port: base + GROUP_OFFSET + index };
}

export function groupEndpoint(base: number): Endpoint {
  return { address: GROUP_ADDRESS, port: base + GROUP_OFFSET };
}

/** The base that a group's port was counted from. */
export function baseOfGroup(group: Endpoint): number {
  return group.port - GROUP_OFFSET;
}
