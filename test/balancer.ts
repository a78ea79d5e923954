import { until, type RealCluster } from './real-cluster.ts';
import { Tool } from './tool.ts';

const OFFSET = 70;
const LISTENS_MS = 10_000;

/** `scripts/balancer` before a cluster of `scripts/up`. */
export class BalancerProcess {
  readonly address: string;
  readonly #tool: Tool;

  static async open(nodes: RealCluster): Promise<BalancerProcess> {
    const balancer = new BalancerProcess(nodes);
    await until('the balancer listens', LISTENS_MS, () => {
      if (balancer.#tool.ended) throw new Error(`scripts/balancer: ${balancer.#tool.said}`);
      return balancer.#tool.said.includes('leads to');
    });
    return balancer;
  }

  constructor(nodes: RealCluster) {
    this.address = `127.0.0.1:${nodes.base + OFFSET}`;
    const settings = [`ARGYLE_HOME=${nodes.home}`, `ARGYLE_PORT_BASE=${nodes.base}`];
    this.#tool = new Tool('env', ...settings, 'scripts/balancer');
  }

  /** What nginx and the script wrote. */
  get said(): string {
    return this.#tool.said;
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}
