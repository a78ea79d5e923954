import { setTimeout as sleep } from 'node:timers/promises';
import { Metrics } from './abuse/metrics.ts';
import { leastGrowth } from './noise-watch.ts';
import { portDrops } from './process-sockets.ts';
import type { RealCluster } from './real-cluster.ts';
import { countedNoise } from './udp-noise-kinds.ts';

/** What a node has counted at its UDP port until now, and what its system has. */
export interface PortCounts {
  readonly arrived: number;
  readonly drops: number;
  /** The same, as the system's own table says. */
  readonly systemDrops: number;
  /** Records of clients that opened. */
  readonly opened: number;
  /** What was no good to it, by reason. */
  readonly noise: Readonly<Record<string, number>>;
}

export async function portCounts(cluster: RealCluster, index: number): Promise<PortCounts> {
  const metrics = await scrape(cluster, index);
  return {
    arrived: metrics.sum('udp_arrived_total'),
    drops: metrics.sum('udp_kernel_drops_total'),
    systemDrops: portDrops(cluster.nodePort(index)),
    opened: metrics.by('udp_records_total')['in'] ?? 0,
    noise: countedNoise(metrics),
  };
}

/** How much has been counted since. */
export function portGrowth(before: PortCounts, after: PortCounts): PortCounts {
  const noise = Object.entries(after.noise).map(([reason, count]): [string, number] => {
    return [reason, count - (before.noise[reason] ?? 0)];
  });
  return {
    arrived: after.arrived - before.arrived,
    drops: after.drops - before.drops,
    systemDrops: after.systemDrops - before.systemDrops,
    opened: after.opened - before.opened,
    noise: Object.fromEntries(noise.filter(([, count]) => count > 0)),
  };
}

/** Of these reasons, or of all. */
export function total(
  counts: Readonly<Record<string, number>>,
  reasons: readonly string[] = Object.keys(counts),
): number {
  return reasons.reduce((sum, reason) => sum + (counts[reason] ?? 0), 0);
}

interface Memory {
  readonly residentBytes: number;
  readonly heapBytes: number;
}

/** Looks at a node's memory until told to stop. */
export class MemoryWatch {
  readonly #samples: Memory[] = [];
  readonly #done: Promise<void>;
  #stop = false;

  constructor(cluster: RealCluster, index: number, everyMs: number) {
    this.#done = this.#run(cluster, index, everyMs);
  }

  /** How much it has grown meanwhile (`leastGrowth`). */
  async stop(): Promise<Memory & { readonly looks: number }> {
    this.#stop = true;
    await this.#done;
    return {
      residentBytes: leastGrowth(this.#samples.map(({ residentBytes }) => residentBytes)),
      heapBytes: leastGrowth(this.#samples.map(({ heapBytes }) => heapBytes)),
      looks: this.#samples.length,
    };
  }

  async #run(cluster: RealCluster, index: number, everyMs: number): Promise<void> {
    while (!this.#stop) {
      const metrics = await scrape(cluster, index);
      this.#samples.push({
        residentBytes: metrics.sum('process_resident_memory_bytes'),
        heapBytes: metrics.sum('nodejs_heap_size_used_bytes'),
      });
      await sleep(everyMs);
    }
  }
}

function scrape(cluster: RealCluster, index: number): Promise<Metrics> {
  return Metrics.scrape(cluster.base + 1_000 + index);
}
