/** In the order of PROTOCOL.md, "Flow control"; of two that open equally late the first binds. */
export const GATES = ['self-receipt', 'others', 'window', 'requests', 'queue', 'echo'] as const;
export type GateName = (typeof GATES)[number];

/** Open since ever. */
export const OPEN = -Infinity;

/** One reason to hold back what waits to be sent. It hears what concerns it, and has no clock. */
export interface Gate {
  /**
   * From when on the next new segment may leave, as far as this gate knows; Infinity: only when
   * something comes in. `inFlight`: own segments that some receiver has not applied.
   */
  opensAt(inFlight: number): number;
}
