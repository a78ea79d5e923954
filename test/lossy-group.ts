import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { GroupMemberAnswer, GroupMemberOptions } from './group-member.ts';
import { GroupProcess } from './group-process.ts';
import { run, until } from './real-cluster.ts';

const ROOT = resolve(import.meta.dirname, '..');
const READY_MS = 60_000;
const CAPACITY_BYTES = 256 * 2 ** 20;
const GROUP = { address: '239.192.0.9', port: 13_080 };

/** Replicas in a container each, on a network of their own that may lose datagrams. */
export class LossyGroup {
  readonly members: LossyMember[] = [];
  readonly #project = `argyle-loss-${randomBytes(4).toString('hex')}`;
  readonly #subnet = `198.19.${240 + randomInt(10)}`;
  readonly #clusterKey = randomBytes(32).toString('hex');

  async open(count: number): Promise<void> {
    await succeed(join(ROOT, 'scripts/base-image'), []);
    await succeed('docker', ['network', 'create', `--subnet=${this.#subnet}.0/24`, this.#project]);
    for (let index = 1; index <= count; index += 1) this.members.push(this.#start(index));
    await until('all members are ready', READY_MS, async () => {
      const said = await this.status();
      return said.every(({ ready, others }) => ready && others === count - 1);
    });
  }

  status(): Promise<GroupMemberAnswer[]> {
    return Promise.all(this.members.map((member) => member.ask({ kind: 'status' })));
  }

  /** Each member loses so many of the datagrams that it sends, and of those that it should get. */
  async lose(share: number): Promise<void> {
    for (const member of this.members) {
      for (const chain of ['INPUT', 'OUTPUT']) {
        const by = ['-m', 'statistic', '--mode', 'random', '--probability', String(share)];
        await member.within('iptables', ['-A', chain, '-p', 'udp', ...by, '-j', 'DROP']);
      }
    }
  }

  /** Datagrams that were dropped so. */
  async lost(): Promise<number> {
    const counts = await Promise.all(
      this.members.map(async (member) => {
        const rules = await member.within('iptables', ['-L', '-n', '-v', '-x']);
        const dropped = [...rules.matchAll(/^ *(\d+) +\d+ +DROP /gm)];
        return dropped.reduce((sum, [, packets]) => sum + Number(packets), 0);
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async heal(): Promise<void> {
    for (const member of this.members) await member.within('iptables', ['-F']);
  }

  async remove(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()));
    const ids = `docker ps -aq --filter network=${this.#project}`;
    const all = `${ids} | xargs -r docker rm -fv; docker network rm ${this.#project}`;
    await run('/bin/sh', ['-c', all]);
  }

  #start(index: number): LossyMember {
    const address = `${this.#subnet}.${10 + index}`;
    const name = `${this.#project}-${index}`;
    const clusterKey = this.#clusterKey;
    const network = ['--network', this.#project, '--ip', address];
    const own = { name: `member-${index}`, address, ownPort: 0, capacityBytes: CAPACITY_BYTES };
    return new LossyMember(name, network, { ...own, group: GROUP, clusterKey });
  }
}

class LossyMember extends GroupProcess {
  readonly #name: string;

  constructor(name: string, network: readonly string[], options: GroupMemberOptions) {
    const image = /^FROM (\S+)/m.exec(readFileSync(join(ROOT, 'packages/cli/Dockerfile'), 'utf8'));
    const program = ['node', '/argyle/test/group-member.ts', JSON.stringify(options)];
    const source = ['--read-only', '-v', `${ROOT}:/argyle:ro`];
    const args = ['run', '-i', '--rm', '--init', '--name', name, ...network, ...source];
    super('docker', [...args, image?.[1] ?? '', ...program]);
    this.#name = name;
  }

  /** A program of this machine in the container's network. */
  async within(program: string, args: readonly string[]): Promise<string> {
    const format = ['--format', '{{.State.Pid}}', this.#name];
    const pid = (await succeed('docker', ['inspect', ...format])).trim();
    return succeed('nsenter', ['-t', pid, '-n', program, ...args]);
  }
}

async function succeed(command: string, args: readonly string[]): Promise<string> {
  const { code, output } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}\n${output}`);
  return output;
}
