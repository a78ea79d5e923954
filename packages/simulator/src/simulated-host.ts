import type { Cancel, Host, Port, PortHandlers, PortOptions } from '@argyle/host';
import { type HostLimits, Line, UNLIMITED } from './limits.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';
import { type PortHost, SimulatedPort } from './simulated-port.ts';

/** Wall time at the start of every run; that it is not 0 finds forgotten offsets. */
const WALL_START_MS = 1_900_000_000_000;

/** A machine that can be crashed, stopped for a while, and given a wrong clock. */
export class SimulatedHost implements Host, PortHost {
  readonly name: string;
  readonly address: string;
  readonly schedule: Schedule;
  readonly network: Network<SimulatedPort>;
  /** May be changed at any time. */
  limits: HostLimits = UNLIMITED;
  readonly egress = new Line();
  readonly ingress = new Line();
  readonly #random: Random;
  #ports = new Set<SimulatedPort>();
  #wallSkewMs = 0;
  /** Timers of an earlier life never fire. */
  #life = 0;
  #paused = false;
  #held: (() => void)[] = [];
  #nextPort = 40_000;

  constructor(options: {
    name: string;
    address: string;
    schedule: Schedule;
    network: Network<SimulatedPort>;
    random: Random;
  }) {
    this.schedule = options.schedule;
    this.network = options.network;
    this.name = options.name;
    this.address = options.address;
    this.#random = options.random;
  }

  now(): number {
    return this.schedule.now;
  }

  wallOffset(): number {
    return WALL_START_MS + this.#wallSkewMs;
  }

  random(sizeBytes: number): Uint8Array {
    return this.#random.bytes(sizeBytes);
  }

  after(delayMs: number, wake: () => void): Cancel {
    const life = this.#life;
    let cancelled = false;
    const cancelTask = this.schedule.after(delayMs, () => {
      this.perform(() => {
        if (!cancelled && life === this.#life) wake();
      });
    });
    return () => {
      cancelled = true;
      cancelTask();
    };
  }

  openPort(options: PortOptions, handlers: PortHandlers): Port {
    if (options.ownPort === 0) this.#nextPort += 1;
    const own = { address: this.address, port: options.ownPort || this.#nextPort };
    const port = new SimulatedPort(this, { own, group: options.group }, handlers, () =>
      this.#ports.delete(port),
    );
    this.#ports.add(port);
    this.after(0, () => port.open());
    return port;
  }

  /** Ends the process: sockets close, timers die, peers' links are reset. */
  crash(): void {
    this.#life += 1;
    this.#paused = false;
    this.#held = [];
    for (const port of this.#ports) port.close();
    this.#ports.clear();
  }

  /** Like SIGSTOP: nothing runs, arrivals wait. */
  pause(): void {
    this.#paused = true;
  }

  /** Like SIGCONT: all that waited happens now. */
  resume(): void {
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    const life = this.#life;
    for (const work of held) if (life === this.#life) work();
    this.schedule.worked(this.name);
  }

  /** Sets the wall clock wrong by so much. */
  skewClock(skewMs: number): void {
    this.#wallSkewMs = skewMs;
  }

  /** Runs work of this host's process: now, or when it goes on. */
  perform(work: () => void): void {
    if (this.#paused) {
      this.#held.push(work);
      return;
    }
    work();
    this.schedule.worked(this.name);
  }
}
