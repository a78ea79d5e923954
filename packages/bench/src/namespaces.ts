import { spawnSync } from 'node:child_process';
import { BenchError } from './bench-error.ts';

/** A line's rate, the burst that it lets through at once, and how long what waits may wait. */
const SHAPE = ['tbf', 'rate', '20mbit', 'burst', '32kb', 'latency', '50ms'];
export const LINE_MBIT = 20;
const PATH = `${process.env['PATH']}:/usr/sbin:/sbin`;
let made = 0;

/** At the ports of the bridge towards the members, or where the first member sends. */
export type Narrow = 'bridge' | 'sender';

/**
 * Hosts of one network: a namespace each, and one for the bridge between them, where no rule of the
 * machine's own firewall applies. One line of each is narrow.
 */
export class Namespaces implements Disposable {
  readonly #name: string;
  readonly #hosts: number;
  readonly #remove = () => this.#removeAll();

  /** Throws a BenchError where namespaces cannot be made: they need root. */
  constructor(hosts: number, narrow: Narrow) {
    made += 1;
    this.#name = `argyle-${process.pid}-${made}`;
    this.#hosts = hosts;
    process.once('exit', this.#remove);
    try {
      this.#build(narrow);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** What runs a command at that host, from 1 on. */
  at(host: number): readonly string[] {
    return ['ip', 'netns', 'exec', this.#host(host)];
  }

  addressOf(host: number): string {
    return `198.18.0.${host}`;
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#remove);
    this.#removeAll();
  }

  #build(narrow: Narrow): void {
    const bridge = this.#host(0);
    run('ip', 'netns', 'add', bridge);
    run('ip', '-n', bridge, 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0');
    run('ip', '-n', bridge, 'link', 'set', 'br0', 'up');
    for (let index = 1; index <= this.#hosts; index += 1) {
      const [host, port] = [this.#host(index), `port${index}`];
      run('ip', 'netns', 'add', host);
      const far = ['peer', 'name', 'line', 'netns', host];
      run('ip', '-n', bridge, 'link', 'add', port, 'type', 'veth', ...far);
      run('ip', '-n', bridge, 'link', 'set', port, 'master', 'br0', 'up');
      run('ip', '-n', host, 'address', 'add', `${this.addressOf(index)}/24`, 'dev', 'line');
      for (const device of ['lo', 'line']) run('ip', '-n', host, 'link', 'set', device, 'up');
      if (narrow === 'bridge') shape(bridge, port);
    }
    if (narrow === 'sender') shape(this.#host(1), 'line');
  }

  /** 0: the bridge. */
  #host(index: number): string {
    return `${this.#name}-${index}`;
  }

  /** What is in a namespace goes with it. */
  #removeAll(): void {
    for (let index = 0; index <= this.#hosts; index += 1)
      spawnSync('ip', ['netns', 'delete', this.#host(index)], { env: { PATH } });
  }
}

/** Undefined where namespaces and narrow lines can be made, otherwise why they cannot. */
export function whyNoNamespaces(): string | undefined {
  try {
    new Namespaces(1, 'bridge')[Symbol.dispose]();
    return undefined;
  } catch (error) {
    if (error instanceof BenchError) return error.message;
    throw error;
  }
}

function shape(namespace: string, device: string): void {
  run('tc', '-n', namespace, 'qdisc', 'add', 'dev', device, 'root', ...SHAPE);
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { env: { PATH }, encoding: 'utf8' });
  if (status === 0) return;
  const said = error?.message ?? stderr.trim();
  throw new BenchError('start', `${command} ${args.join(' ')}: ${said}`);
}
