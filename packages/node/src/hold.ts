import type { Host } from '@argyle/host';

/** `late`: the bound passed first, and the work goes on. `failed`: it was rejected. */
export type HoldEnd = 'done' | 'late' | 'failed';

/** Waits for replicas, but no longer than `holdMs`. Never rejects, and leaves no timer. */
export function held(host: Host, work: Promise<unknown>, holdMs: number): Promise<HoldEnd> {
  return new Promise((resolve) => {
    const cancel = host.after(holdMs, () => resolve('late'));
    const end = (how: HoldEnd) => {
      cancel();
      resolve(how);
    };
    work.then(
      () => end('done'),
      () => end('failed'),
    );
  });
}

/** Whole wall milliseconds since 1970. */
export function wallTime(host: Host): number {
  return Math.floor(host.now() + host.wallOffset());
}
