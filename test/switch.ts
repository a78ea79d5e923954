import { missing, run } from './real-cluster.ts';

/** RFC 2544: for tests. */
const NETWORK = '198.18.77';
/** Answers have 1 s, where they have 10 otherwise. */
const SNOOPING = ['mcast_snooping', '1', 'mcast_query_response_interval', '100'];
/**
 * Why the bridge watches memberships at all; it asks once, and again after two minutes. Until
 * there was time for answers it floods, and it takes that time from before this is set.
 */
const QUERIER = ['mcast_querier', '1', 'mcast_startup_query_count', '1'];

/**
 * Hosts at a switch that sends a group's multicast only where somebody has joined (IGMP snooping,
 * RFC 4541): network namespaces at a bridge of Linux that has one for itself, so that the filter of
 * bridges in the machine's own does not reach it.
 */
export class Switch {
  readonly #group: string;
  readonly #hosts: number;
  readonly #prefix = `argyle-${process.pid}`;

  private constructor(group: string, hosts: number) {
    this.#group = group;
    this.#hosts = hosts;
  }

  /** Why there can be none here; false if there can. */
  static async whyNot(): Promise<string | false> {
    if (process.getuid?.() !== 0) return 'needs root, to make network namespaces';
    return (await missing('bridge', 'iproute2')) || missing('iptables');
  }

  /** Hosts 1 to `hosts`; `group` is the address that they will join. */
  static async open(group: string, hosts: number): Promise<Switch> {
    const made = new Switch(group, hosts);
    try {
      await made.#make();
    } catch (error) {
      await made.remove();
      throw error;
    }
    return made;
  }

  address(host: number): string {
    return `${NETWORK}.${host}`;
  }

  /** The beginning of a command that is to run there. */
  at(host: number): [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#name(host)];
  }

  /** Has that host joined, as the switch sees it? */
  async knows(host: number): Promise<boolean> {
    const { output } = await this.#ip(['netns', 'exec', this.#name(0), 'bridge', 'mdb', 'show']);
    return output.includes(`port p${host} grp ${this.#group}`);
  }

  /** As if the membership had been too old. */
  async forget(host: number): Promise<void> {
    const entry = ['dev', 'br0', 'port', `p${host}`, 'grp', this.#group];
    await this.#must(['netns', 'exec', this.#name(0), 'bridge', 'mdb', 'del', ...entry]);
  }

  /** From now on others' multicasts do not arrive there, whatever it joins. */
  async cutMulticast(host: number): Promise<void> {
    const others = ['!', '-s', this.address(host), '-d', this.#group, '-j', 'DROP'];
    await this.#must(['netns', 'exec', this.#name(host), 'iptables', '-A', 'INPUT', ...others]);
  }

  async heal(host: number): Promise<void> {
    await this.#must(['netns', 'exec', this.#name(host), 'iptables', '-F', 'INPUT']);
  }

  async remove(): Promise<void> {
    for (let host = 0; host <= this.#hosts; host += 1) {
      await this.#ip(['netns', 'del', this.#name(host)]);
    }
  }

  async #make(): Promise<void> {
    const bridge = this.#name(0);
    await this.#must(['netns', 'add', bridge]);
    await this.#must(['-n', bridge, 'link', 'add', 'br0', 'type', 'bridge', ...SNOOPING]);
    await this.#must(['-n', bridge, 'link', 'set', 'br0', 'type', 'bridge', ...QUERIER]);
    await this.#must(['-n', bridge, 'addr', 'add', `${NETWORK}.254/24`, 'dev', 'br0']);
    await this.#must(['-n', bridge, 'link', 'set', 'br0', 'up']);
    for (let host = 1; host <= this.#hosts; host += 1) {
      const name = this.#name(host);
      const peer = ['peer', 'name', 'eth0', 'netns', name];
      await this.#must(['netns', 'add', name]);
      await this.#must(['-n', bridge, 'link', 'add', `p${host}`, 'type', 'veth', ...peer]);
      await this.#must(['-n', bridge, 'link', 'set', `p${host}`, 'master', 'br0', 'up']);
      await this.#must(['-n', name, 'addr', 'add', `${this.address(host)}/24`, 'dev', 'eth0']);
      for (const device of ['lo', 'eth0']) {
        await this.#must(['-n', name, 'link', 'set', device, 'up']);
      }
    }
  }

  /** 0 is the switch. */
  #name(host: number): string {
    return `${this.#prefix}-${host}`;
  }

  #ip(args: readonly string[]) {
    return run('ip', args);
  }

  async #must(args: readonly string[]): Promise<void> {
    const { code, output } = await this.#ip(args);
    if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${output}`);
  }
}
