import type { Way } from '@argyle/multicast';

/** What operators may see of a member: plain values, no secret among them. */
export interface ReplicaStatus {
  readonly self: SelfStatus;
  /** Every other member of the view. */
  readonly members: readonly MemberStatus[];
  /** True when this member is ready and nobody else is in its view. */
  readonly alone: boolean;
  readonly viewChanges: number;
  readonly cache: CacheStatus;
  readonly counters: GroupCounters;
}

export type SelfState = 'joining' | 'synchronising' | 'ready';

export interface SelfStatus {
  readonly name: string;
  /** 32 hexadecimal digits, drawn at each start. */
  readonly incarnation: string;
  readonly state: SelfState;
  /** Why it is not ready, as a sentence; empty when it is. */
  readonly reason: string;
  readonly endpoint: string;
  readonly uptimeMs: number;
  /** The last sequence this member has sent. */
  readonly sent: number;
  /** The last sequence that every required member has applied. */
  readonly acknowledged: number;
  /** Ids of the keys in its ring: the first seals, all open. */
  readonly keys: readonly string[];
}

export interface MemberStatus {
  readonly name: string;
  readonly incarnation: string;
  /** What it says of itself. */
  readonly state: SelfState;
  readonly endpoint: string;
  readonly heardMsAgo: number;
  /** Its wall clock minus ours. */
  readonly clockSkewMs: number;
  /** The ways by which it was heard lately, and by which it says that it hears us. */
  readonly heardBy: readonly Way[];
  readonly hearsUsBy: readonly Way[];
  /** The way by which our segments go to it. */
  readonly reachedBy: Way;
  /** Positions in *our* stream that it has acknowledged. */
  readonly received: number;
  readonly applied: number;
  /** Our segments that it has not applied. */
  readonly lag: number;
  /** Ids of the keys in its ring, as it says: the first seals, all open. */
  readonly keys: readonly string[];
}

export interface CacheStatus {
  readonly records: number;
  readonly tombstones: number;
  readonly bytes: number;
  readonly capacityBytes: number;
  /** Hexadecimal; equal on equal replicas. */
  readonly digest: string;
}

export interface GroupCounters {
  readonly segments: readonly { direction: 'sent' | 'received'; kind: string; count: number }[];
  readonly dropped: readonly { reason: string; count: number }[];
  /** Links to other members. */
  readonly links: number;
  /** Connections to the own port that became no link. */
  readonly linksRefused: readonly { reason: string; count: number }[];
  /** How often the multicast group was joined anew. */
  readonly rejoins: number;
  /** Datagrams that the system refused to send. */
  readonly unsent: number;
  /** Questions for members that had no answer. */
  readonly unfound: readonly { way: 'dns' | 'mdns'; count: number }[];
  readonly repairs: number;
  /** Segments of members that are gone, sent on to who missed them. */
  readonly passedOn: number;
  /** Own segments that did not come back in time. */
  readonly ownLost: number;
  /** For how long each gate was the one that held segments back, in seconds. */
  readonly gates: readonly { gate: string; seconds: number }[];
  /** Exchanges of records that this member began: to join, or to mend a difference. */
  readonly exchanges: number;
  /** Others' records that found no room in the cache. */
  readonly unstored: number;
  readonly writes: readonly { outcome: 'replicated' | 'timeout' | 'restarted'; count: number }[];
}
