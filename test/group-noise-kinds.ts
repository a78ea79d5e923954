import { randomBytes } from 'node:crypto';
import { Keyring, SegmentKind } from '@argyle/multicast';
import type { FloodKind } from './flood.ts';

/** packages/multicast/PROTOCOL.md, "Segment": from each of these to the next. */
const Offset = { version: 0, key: 4, cluster: 8, incarnation: 16, packet: 32, body: 40 } as const;
const OVERHEAD_BYTES = 56;
const TAG_BYTES = 16;
const RANDOM_BYTES = 1_200;
const NEXT_VERSION = 2;

/** By which reasons the members may count each kind. */
export const GROUP_NOISE = {
  random: ['version', 'cluster'],
  future: ['version'],
  short: ['short'],
  truncated: ['short', 'authentication'],
  'forged-tag': ['authentication'],
  'forged-body': ['authentication'],
  'made-up': ['authentication', 'derivations'],
  'foreign-cluster': ['cluster'],
  'foreign-key': ['key'],
  'foreign-seal': ['authentication', 'derivations'],
  replayed: ['replayed'],
} as const satisfies Record<string, readonly string[]>;

export type GroupNoise = keyof typeof GROUP_NOISE;

interface Forgery {
  readonly bytes: Buffer;
  readonly drawn?: readonly [number, number];
  readonly cut?: boolean;
}

/** Each kind once for each of these segments, which were recorded of live members. */
export function groupNoise(recorded: readonly Buffer[]): FloodKind[] {
  const foreign = new Keyring(randomBytes(32));
  foreign.adopt(randomBytes(16));
  return recorded.flatMap((real) => {
    const sealed = foreign.seal(SegmentKind.data, randomBytes(real.length - OVERHEAD_BYTES));
    const forgeries = forge(real, sealed);
    return Object.entries(forgeries).map(([label, forgery]) => ({ label, ...forgery }));
  });
}

/** `foreign`: sealed by a member of another cluster. */
function forge(real: Buffer, foreign: Buffer): Record<GroupNoise, Forgery> {
  const { length } = real;
  const future = Buffer.from(real);
  future.writeUInt8(NEXT_VERSION, Offset.version);
  const ownCluster = Buffer.from(foreign);
  real.copy(ownCluster, Offset.key, Offset.key, Offset.incarnation);
  return {
    random: { bytes: Buffer.alloc(RANDOM_BYTES), drawn: [0, RANDOM_BYTES] },
    future: { bytes: future, drawn: [Offset.packet, length] },
    short: { bytes: real.subarray(0, OVERHEAD_BYTES), cut: true },
    truncated: { bytes: real, cut: true },
    'forged-tag': { bytes: real, drawn: [length - TAG_BYTES, length] },
    'forged-body': { bytes: real, drawn: [Offset.packet + 4, length] },
    'made-up': { bytes: real, drawn: [Offset.incarnation, Offset.packet] },
    'foreign-cluster': { bytes: foreign },
    'foreign-key': { bytes: real, drawn: [Offset.key, Offset.cluster] },
    'foreign-seal': { bytes: ownCluster },
    replayed: { bytes: real },
  };
}
