import { createHash, type Hash } from 'node:crypto';
import { Agenda, type Cancel } from '@argyle/host';
import { Network, type NetworkFaults } from './network.ts';
import { Random } from './random.ts';
import type { Schedule } from './schedule.ts';
import { SimulatedHost } from './simulated-host.ts';
import type { SimulatedPort } from './simulated-port.ts';

export interface SimulatorOptions {
  readonly seed: number;
  readonly faults?: Partial<NetworkFaults>;
}

/**
 * Time, chance and wire under one seed. A timer, a datagram in flight and a link's bytes are tasks
 * in one agenda, ordered by time and then by insertion, so a run is a plain loop and two runs of
 * one seed are the same run: `digest` says so.
 */
export class Simulator implements Schedule {
  readonly network: Network<SimulatedPort>;
  readonly random: Random;
  readonly #trace: Hash = createHash('sha256');
  readonly #agenda = new Agenda<Task>();
  readonly #hosts = new Map<string, SimulatedHost>();
  #now = 0;
  #worked: string | undefined;

  constructor(options: SimulatorOptions) {
    this.random = new Random(options.seed);
    this.network = new Network(this, this.random.fork(), options.faults ?? {});
  }

  get now(): number {
    return this.#now;
  }

  /** The host of that name, made at first use; its address is 198.18.0.N (RFC 2544). */
  host(name: string): SimulatedHost {
    const known = this.#hosts.get(name);
    if (known) return known;
    const host = new SimulatedHost({
      name,
      address: `198.18.0.${this.#hosts.size + 1}`,
      schedule: this,
      network: this.network,
      random: this.random.fork(),
    });
    this.#hosts.set(name, host);
    return host;
  }

  /**
   * Runs all tasks due in the next `durationMs`; `each` is called after every one of them, with the
   * name of the host whose process it ran in, if it did.
   */
  run(durationMs: number, each?: (host: string | undefined) => void): void {
    const end = this.#now + durationMs;
    for (;;) {
      const next = this.#agenda.first;
      if (!next || next.at > end) break;
      this.#agenda.removeFirst();
      if (next.item.cancelled) continue;
      this.#now = next.at;
      this.#worked = undefined;
      next.item.run();
      each?.(this.#worked);
    }
    this.#now = end;
  }

  /** Runs until `condition` holds, at most `boundMs`; false if it never did. */
  runUntil(
    condition: () => boolean,
    boundMs: number,
    each?: (host: string | undefined) => void,
  ): boolean {
    const end = this.#now + boundMs;
    while (!condition()) {
      const next = this.#agenda.first;
      if (!next || next.at > end) return false;
      this.run(next.at - this.#now, each);
    }
    return true;
  }

  after(delayMs: number, run: () => void): Cancel {
    const task: Task = { run, cancelled: false };
    this.#agenda.add(this.#now + Math.max(0, delayMs), task);
    return () => {
      task.cancelled = true;
    };
  }

  worked(host: string): void {
    this.#worked = host;
  }

  record(what: string, bytes: Uint8Array): void {
    this.#trace.update(`${this.#now.toFixed(6)} ${what} ${bytes.length}\n`).update(bytes);
  }

  /** Of all that was delivered so far: equal for equal seeds. */
  digest(): string {
    return this.#trace.copy().digest('hex');
  }
}

interface Task {
  readonly run: () => void;
  cancelled: boolean;
}
