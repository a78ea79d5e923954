export { ReplicaError } from './api.ts';
export type {
  CacheEntry,
  ListedEntry,
  NewRecord,
  RemoteChange,
  ReplicaErrorCode,
  Replicated,
  SharedCache,
} from './api.ts';
export type {
  CacheStatus,
  GroupCounters,
  MemberStatus,
  ReplicaStatus,
  SelfState,
  SelfStatus,
} from './status.ts';
export { LocalReplica } from './local-replica.ts';
export type { LocalGroupOptions, LocalReplicaOptions } from './local-replica.ts';
export { Replica } from './replica.ts';
export type { ReplicaEvent, WriteStart } from './replica.ts';
export type { ExchangeResult } from './exchange.ts';
export type { ClusterKeys } from '@argyle/multicast';
