import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { At } from './noise.ts';
import { RealCluster } from './real-cluster.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** A node of another cluster, with a key of its own, on somebody else's group and port. */
export class ForeignNode {
  readonly #cluster: RealCluster;
  readonly #child: ChildProcess;
  /** Segments that it had sent to the group when it was last asked. */
  sent = 0;

  static async start(group: At): Promise<ForeignNode> {
    const cluster = await RealCluster.open();
    const made = await cluster.script('argyle', 'init', '--nodes', '1');
    if (made.code !== 0) throw new Error(made.output);
    const file = cluster.file('node-1.yaml');
    const text = readFileSync(file, 'utf8')
      .replace(/^( +address:) .*$/m, `$1 ${group.address}:${group.port}`)
      .replace('name: node-1', 'name: foreign');
    writeFileSync(file, text);
    return new ForeignNode(cluster, file);
  }

  constructor(cluster: RealCluster, config: string) {
    this.#cluster = cluster;
    const { NODE_OPTIONS: _hooks, ...env } = process.env;
    const main = resolve(ROOT, 'packages/cli/src/main.ts');
    const node = resolve(ROOT, 'node_modules/.bin/node');
    this.#child = spawn(node, [main, 'node', '--config', config], { stdio: 'ignore', env });
  }

  async ready(): Promise<boolean> {
    return this.#cluster.metric(1, 'group_ready').then(
      (ready) => ready === 1,
      () => false,
    );
  }

  async members(): Promise<readonly string[]> {
    return (await this.#cluster.cluster(1)).view.members;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.sent = await this.#cluster.metric(1, 'group_segments_total', { direction: 'sent' });
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
    await this.#cluster.remove();
  }
}
