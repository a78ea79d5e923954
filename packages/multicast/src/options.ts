import type { Endpoint } from '@argyle/host';
import type { ClusterKeys } from './cluster-keys.ts';
import type { GateName } from './gates/gate.ts';

export interface GroupOptions {
  /** Unique among live members, 1 to 64 bytes of UTF-8. */
  readonly name: string;
  /** A ring, or 32 random bytes for a ring of one key. */
  readonly clusterKey: Uint8Array | ClusterKeys;
  /** A kernel's random source. */
  readonly random: (sizeBytes: number) => Uint8Array;
  /** Own endpoints of members that are greeted by unicast until they are heard. */
  readonly members: readonly Endpoint[];
  /** What one datagram carries at most. Larger means fewer; above the path's MTU, IP fragments. */
  readonly segmentBytes: number;
  readonly transport: Transport;
  /**
   * True unless said otherwise. False makes it a listener, of the second tier: nobody waits for it,
   * and it asks for what it misses.
   */
  readonly acknowledges?: boolean;
  /** Opaque bytes for every heartbeat, at most 64: how the layer above stands when it leaves. */
  readonly note: () => Uint8Array;
  /** Which gates govern; without it all. Fewer are for measurements: each is blind somewhere. */
  readonly gates?: readonly GateName[];
}

/** `auto`: each member by multicast if that reaches it, else by unicast. The others force a way. */
export type Transport = 'auto' | 'multicast' | 'unicast';

/**
 * Heartbeats cost N a member and interval; the interval bounds how late the last segment of a burst
 * is missed, and how long a lost acknowledgement stays lost.
 */
export const HEARTBEAT_MS = 250;
/** A change is told at once, but heartbeats are never closer than this. */
export const HEARTBEAT_SPACING_MS = 15;
/**
 * Who is silent, deaf or stalled for so long is excluded. Shorter: a long garbage collection or a
 * paused virtual machine loses its place. Longer: writers wait longer for a frozen host.
 */
export const EXCLUSION_MS = 3_000;
/** A member that did not run for this long makes allowance: others were not silent, it was deaf. */
export const STALL_MS = 500;
/** A write that not all applied by then fails at its caller; it stays under way. */
export const WRITE_TIMEOUT_MS = 5_000;
/** Strangers kept at once. */
export const CANDIDATES_MAX = 256;
/** Incarnations never admitted again; when it is full this member draws a new one itself. */
export const EXCLUDED_MAX = 65_536;
/** An excluded member that is still heard is told so for this long after its last segment. */
export const EXCLUDED_TOLD_MS = 1_000;
