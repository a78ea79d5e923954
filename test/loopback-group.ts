import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { Endpoint } from '@argyle/host';
import type { GroupMemberAnswer } from './group-member.ts';
import { GroupProcess } from './group-process.ts';
import { isFree, until } from './real-cluster.ts';

const MEMBER = resolve(import.meta.dirname, 'group-member.ts');
const ADDRESS = '127.0.0.1';
const GROUP_ADDRESS = '239.192.0.10';
/** Below those of other tests' clusters. */
const PORTS = Array.from({ length: 10 }, (_, index) => 12_500 + 10 * index);
const READY_MS = 20_000;

/** Replicas in a process each, on loopback; their own ports follow the group's. */
export class LoopbackGroup {
  readonly endpoint: Endpoint;
  readonly members: readonly GroupProcess[];

  /** Resolves when each is ready and sees all others. */
  static async open(count: number, capacityBytes: number): Promise<LoopbackGroup> {
    for (const port of PORTS) {
      const own = Array.from({ length: count }, (_, index) => port + 1 + index);
      if (!(await Promise.all(own.map(isFree))).every(Boolean)) continue;
      const group = new LoopbackGroup(port, own, capacityBytes);
      try {
        await group.#untilReady();
        return group;
      } catch (error) {
        await group.end();
        throw error;
      }
    }
    throw new Error('no free range of ports');
  }

  private constructor(port: number, ownPorts: readonly number[], capacityBytes: number) {
    this.endpoint = { address: GROUP_ADDRESS, port };
    const clusterKey = randomBytes(32).toString('hex');
    this.members = ownPorts.map((ownPort, index) => {
      const name = `member-${index + 1}`;
      const place = { name, address: ADDRESS, group: this.endpoint, ownPort };
      const options = JSON.stringify({ ...place, capacityBytes, clusterKey });
      return new GroupProcess(process.execPath, [MEMBER, options]);
    });
  }

  status(): Promise<GroupMemberAnswer[]> {
    return Promise.all(this.members.map((member) => member.ask({ kind: 'status' })));
  }

  /** A member's own endpoint; the first is 0. */
  own(index: number): Endpoint {
    return { address: ADDRESS, port: this.endpoint.port + 1 + index };
  }

  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()));
  }

  async #untilReady(): Promise<void> {
    await until('all members are ready', READY_MS, async () => {
      const said = await this.status();
      return said.every(({ ready, others }) => ready && others === this.members.length - 1);
    });
  }
}
