import { type HostLimits, type NetworkFaults, type Random, UNLIMITED } from '@argyle/simulator';

/** What a seed may do to its members, besides letting them write. */
export const DEEDS = [
  'burst',
  'remove',
  'purge',
  'crash',
  'restart',
  'pause',
  'pause for about the exclusion bound',
  'partition',
  'cut',
  'skew',
] as const;
export type Deed = (typeof DEEDS)[number] | 'leave' | 'cut multicast' | 'forget';

/** `mixed`: every second member takes no part in multicast. */
export type Transports = 'auto' | 'unicast' | 'mixed';

/** The faults of one seed: each has about half of all there are. */
export interface Faults {
  readonly members: number;
  readonly network: NetworkFaults;
  /** Of the members in turn. */
  readonly limits: readonly HostLimits[];
  readonly deeds: ReadonlySet<Deed>;
  readonly transports: Transports;
  /** So many acknowledge, the first ones; the others listen. */
  readonly acknowledge: number;
  /** Loss that stays when all else is healed. */
  readonly lastingLoss: number;
}

const MEMBERS_MIN = 2;
const MEMBERS_MAX = 9;

/** What was thought of later has a generator of its own: other seeds stay as they were. */
export function drawFaults(random: Random, later: Random, members?: number): Faults {
  const maybe = (most: number) => (random.chance(0.5) ? random.uniform() * most : 0);
  const size = members ?? MEMBERS_MIN + random.below(MEMBERS_MAX - MEMBERS_MIN + 1);
  const faults = {
    members: size,
    network: {
      loss: maybe(0.3),
      ownLoss: maybe(0.2),
      duplicate: maybe(0.2),
      replay: maybe(0.2),
      delayMinMs: 0.05,
      delayMeanMs: 0.1 + maybe(20),
      dyingMs: maybe(50),
    },
    limits: Array.from({ length: size }, () => drawLimits(random)),
    deeds: new Set<Deed>(DEEDS.filter(() => random.chance(0.6))),
    lastingLoss: maybe(0.2),
  };
  if (later.chance(0.3)) faults.deeds.add('leave');
  if (later.chance(0.4)) faults.deeds.add('cut multicast');
  if (later.chance(0.3)) faults.deeds.add('forget');
  const transports = later.chance(0.2) ? later.pick(['unicast', 'mixed'] as const) : 'auto';
  const acknowledge = later.chance(0.3) ? later.below(size) : size;
  return { ...faults, transports, acknowledge };
}

/** Every second host is slow somewhere. */
function drawLimits(random: Random): HostLimits {
  if (random.chance(0.5)) return UNLIMITED;
  const some = (from: number, to: number, otherwise: number) =>
    random.chance(0.4) ? from * (to / from) ** random.uniform() : otherwise;
  return {
    egressBytesPerMs: some(50, 12_500, Infinity),
    egressQueueBytes: some(4_096, 262_144, 65_536),
    ingressBytesPerMs: some(50, 12_500, Infinity),
    ingressQueueBytes: some(4_096, 262_144, 65_536),
    receiveMs: some(0.02, 5, 0),
    receiveQueueBytes: some(4_096, 262_144, 212_992),
  };
}

/** As one line of a report. */
export function describeFaults(drawn: Faults): string {
  const { members, acknowledge, network, limits, deeds, transports, lastingLoss } = drawn;
  const round = (value: number) => Number(value.toPrecision(3));
  const faults = Object.entries({ ...network, lastingLoss }).map(
    ([name, value]) => `${name} ${round(value)}`,
  );
  const limited = limits.flatMap((limit, index) =>
    limit === UNLIMITED ? [] : `member ${index + 1}: ${Object.values(limit).map(round).join(' ')}`,
  );
  const tiers = acknowledge < members ? `, ${acknowledge} acknowledge` : '';
  return [
    `${members} members${tiers}`,
    transports,
    ...faults,
    [...deeds].join(' + '),
    ...limited,
  ].join('; ');
}
