import type { Cancel, Host } from '../src/host.ts';
import { SystemHost } from '../src/system.ts';

/** A host whose clock stands still until it is told to go on. */
export class ManualHost implements Pick<Host, 'now' | 'after'> {
  #now = 0;
  readonly timers = new Set<{ at: number; wake: () => void }>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, wake: () => void): Cancel {
    const timer = { at: this.#now + delayMs, wake };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.timers]) {
      if (timer.at > this.#now) continue;
      this.timers.delete(timer);
      timer.wake();
    }
  }

  asHost(): Host {
    const system = new SystemHost();
    return Object.assign(system, { now: () => this.now(), after: this.after.bind(this) });
  }
}
