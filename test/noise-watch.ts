import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterView, RealCluster } from './real-cluster.ts';
import { visit } from './tls.ts';

const LOOK_MS = 50;

/** A counter's values by one label, as the metrics of one process tell them. */
export async function countersBy(
  cluster: RealCluster,
  index: number,
  name: string,
  label: string,
): Promise<Map<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${cluster.base + 1_000 + index}/metrics`);
  const line = new RegExp(`^argyle_${name}\\{.*${label}="([^"]+)".*\\} (\\d+)$`, 'gm');
  const counts = new Map<string, number>();
  for (const [, value = '', count] of (await answer.text()).matchAll(line)) {
    counts.set(value, (counts.get(value) ?? 0) + Number(count));
  }
  return counts;
}

/** How much the counters under these labels, or all of them, have grown. */
export function growth(
  before: Map<string, number>,
  after: Map<string, number>,
  labels: Iterable<string> = after.keys(),
): number {
  let sum = 0;
  for (const label of labels) sum += (after.get(label) ?? 0) - (before.get(label) ?? 0);
  return sum;
}

/**
 * How much more the second half's least is than the first half's: least, because memory that waits
 * to be collected comes and goes.
 */
export function leastGrowth(samples: readonly number[]): number {
  const middle = Math.floor(samples.length / 2);
  return Math.min(...samples.slice(middle)) - Math.min(...samples.slice(0, middle));
}

/** Who is in the views of these nodes, by name and incarnation. */
export async function identities(
  cluster: RealCluster,
  nodes: readonly number[],
): Promise<string[][]> {
  const views = await Promise.all(nodes.map((index) => cluster.cluster(index)));
  return views.map(({ self, members }) => [self, ...members].map(identity).sort());
}

function identity(one: ClusterView['self'] | ClusterView['members'][number]): string {
  return 'name' in one ? `${String(one.name)} ${String(one.incarnation)}` : '';
}

/** Looks at all views until told to stop; keeps each that differs from the first. */
export class ViewWatch {
  readonly differing: string[] = [];
  looks = 0;
  #stop = false;
  readonly #done: Promise<void>;

  constructor(cluster: RealCluster, nodes: readonly number[]) {
    this.#done = this.#run(cluster, nodes);
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#done;
  }

  async #run(cluster: RealCluster, nodes: readonly number[]): Promise<void> {
    const wanted = JSON.stringify(await identities(cluster, nodes));
    while (!this.#stop) {
      const seen = JSON.stringify(await identities(cluster, nodes));
      if (seen !== wanted) this.differing.push(seen);
      this.looks += 1;
      await sleep(LOOK_MS);
    }
  }
}

/** Full handshakes, whose tickets wait for the replicas, one after another until told to stop. */
export class Writer {
  readonly tookMs: number[] = [];
  readonly failures: string[] = [];
  readonly #cluster: RealCluster;
  #stop = false;
  readonly #done: Promise<void>;

  constructor(cluster: RealCluster, nodes: readonly number[]) {
    this.#cluster = cluster;
    this.#done = this.#run(nodes);
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#done;
  }

  get summary(): string {
    const sorted = this.tookMs.toSorted((a, b) => a - b).map((ms) => ms.toFixed(1));
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))];
    return `${sorted.length} sessions, median ${at(0.5)} ms, 99 % ${at(0.99)} ms, most ${at(1)} ms`;
  }

  async #run(nodes: readonly number[]): Promise<void> {
    const cluster = this.#cluster;
    const ca = cluster.read('ca.pem');
    while (!this.#stop) {
      const made = nodes[randomInt(nodes.length)] ?? 1;
      const taken = nodes[randomInt(nodes.length)] ?? 1;
      const from = performance.now();
      try {
        const { sessions } = await visit(cluster.nodePort(made), ca);
        this.tookMs.push(performance.now() - from);
        const [session] = sessions;
        const again = await visit(cluster.nodePort(taken), ca, session ? { session } : {});
        if (!again.reused) this.failures.push(`made at ${made}, not resumed at ${taken}`);
      } catch (error) {
        this.failures.push(String(error));
      }
    }
  }
}
