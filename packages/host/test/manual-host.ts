import type { Cancel } from '../src/host.ts';
import { SystemHost } from '../src/system.ts';

/** A host whose clock stands still until it is told to go on. */
export class ManualHost extends SystemHost {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly wake: () => void }>();

  /** Timers that are armed. */
  get armed(): number {
    return this.#timers.size;
  }

  override now(): number {
    return this.#now;
  }

  override after(delayMs: number, wake: () => void): Cancel {
    const timer = { at: this.#now + delayMs, wake };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.at <= this.#now && this.#timers.delete(timer)) timer.wake();
    }
  }
}
