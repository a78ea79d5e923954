import type { PortRange } from './options.ts';

/** Ports of a range that are tried when those before are in use. */
const TRIES_MAX = 64;

/**
 * Ports to try, from a random place of the range on, so that one that was told long ago means
 * nobody else; 0 without a range: the system chooses. `random`: four bytes.
 */
export function portCandidates(
  ports: PortRange | undefined,
  random: Uint8Array,
): readonly number[] {
  if (!ports) return [0];
  const count = ports.to - ports.from + 1;
  const first = Buffer.from(random).readUInt32BE() % count;
  return Array.from(
    { length: Math.min(count, TRIES_MAX) },
    (_, index) => ports.from + ((first + index) % count),
  );
}
