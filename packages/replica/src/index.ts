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
