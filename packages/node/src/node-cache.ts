import type { Host, Log } from '@argyle/host';
import {
  type ClusterKeys,
  LocalReplica,
  type ReplicaStatus,
  type SharedCache,
} from '@argyle/replica';
import type { NodeOptions } from './options.ts';

/** The cluster's cache as a node runs it. */
export interface NodeCache extends SharedCache {
  /** Ends when its sockets are open; readiness comes later. */
  start(): Promise<void>;
  close(): Promise<void>;
  status(): ReplicaStatus;
  /** False for another cluster's keys: nothing changed. */
  takeKeys(clusterKeys: ClusterKeys): boolean;
}

export interface CacheHandlers {
  /** Whenever `ready` may have changed. */
  stateChanged(): void;
  /** It cannot go on. */
  failed(error: Error): void;
}

export type OpenCache = (handlers: CacheHandlers) => NodeCache;

/** The replica that the options describe. */
export function replicaOf(host: Host, log: Log, options: NodeOptions): OpenCache {
  const { name, group, cache } = options;
  return ({ stateChanged, failed }) =>
    new LocalReplica({ host, log, name, group, cache, stateChanged, failed });
}
