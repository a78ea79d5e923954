import { SystemHost } from '@argyle/host/system';
import type { ReplicaStatus } from '@argyle/replica';
import type { Test } from 'tap';
import { Node } from '../src/node.ts';
import type { CacheHandlers, NodeCache } from '../src/node-cache.ts';
import type { NodeOptions } from '../src/options.ts';
import { FakeCache, FakeCluster } from './fake-cluster.ts';
import { SILENT } from './settings.ts';

/** A fake cache that a whole node can run. */
export class FakeNodeCache extends FakeCache implements NodeCache {
  handlers: CacheHandlers | undefined;

  start(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  setReady(ready: boolean): void {
    this.ready = ready;
    this.handlers?.stateChanged();
  }

  takeKeys(): boolean {
    return true;
  }

  status(): ReplicaStatus {
    const state = this.ready ? 'ready' : 'synchronising';
    const reason = this.ready ? '' : 'It has not synchronised.';
    return {
      self: {
        ...{ name: 'fake', incarnation: '00'.repeat(16), state, reason, endpoint: '' },
        ...{ uptimeMs: 0, sent: 0, acknowledged: 0, keys: [] },
      },
      members: [],
      alone: true,
      viewChanges: 0,
      cache: { records: 0, tombstones: 0, bytes: 0, capacityBytes: 0, digest: '' },
      counters: {
        ...{ segments: [], dropped: [], writes: [] },
        ...{
          links: 0,
          linksRefused: [],
          rejoins: 0,
          unsent: 0,
          repairs: 0,
          passedOn: 0,
          ownLost: 0,
          unfound: [],
          gates: [],
          exchanges: 0,
          unstored: 0,
        },
      },
    };
  }
}

export interface StartedNode {
  readonly node: Node;
  readonly cluster: FakeCluster;
  readonly cache: FakeNodeCache;
  readonly port: number;
  /** The sum of a metric's values that have these labels. */
  count(name: string, labels?: Record<string, string>): number;
}

/** A whole node over a fake cluster; stopped with the test. */
export async function startNode(
  t: Test,
  cluster: FakeCluster,
  options: NodeOptions,
): Promise<StartedNode> {
  const cache = cluster.join(new FakeNodeCache(cluster));
  const node = new Node({
    host: new SystemHost(),
    log: SILENT,
    options,
    cache: (handlers) => {
      cache.handlers = handlers;
      return cache;
    },
  });
  t.teardown(() => node.stop());
  await node.start();
  const port = node.endpoint?.port ?? 0;
  const count = (name: string, labels = {}) => sumOf(node, name, labels);
  return { node, cluster, cache, port, count };
}

function sumOf(node: Node, name: string, labels: Record<string, string>): number {
  const family = node.metrics().find((family) => family.name === name);
  if (!family) throw new Error(`no metric is called ${name}`);
  return family.values
    .filter(({ labels: own }) => Object.entries(labels).every(([key, value]) => own[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}
