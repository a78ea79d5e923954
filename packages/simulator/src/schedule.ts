import type { Cancel } from '@argyle/host';

/** Simulated time: what a network, its hosts and their ports ask of the run that they are in. */
export interface Schedule {
  readonly now: number;
  after(delayMs: number, run: () => void): Cancel;
  /** Work of that host's process was done. */
  worked(host: string): void;
  /** Everything delivered goes in here; the run's digest is made of it. */
  record(what: string, bytes: Uint8Array): void;
}
