import { EXCLUSION_MS } from '@argyle/multicast';
import { Random, UNLIMITED } from '@argyle/simulator';
import { type Deed, describeFaults, drawFaults, type Faults } from './hostile-faults.ts';
import { SimulatedCluster } from './simulated-cluster.ts';

const NAMES = ['alpha', 'bravo', 'charlie', 'delta', 'echo', 'foxtrot', 'golf', 'hotel', 'india'];
const KEYS = 40;
/** Of hostile simulated time, then of healing at most. */
const HOSTILE_MS = 12_000;
const HEALED_MS = 30_000;
const STAYS_MS = 1_000;
/** Of a wall clock, either way: two of them stay within the skew that tombstones allow for. */
const SKEW_MS = 2_000;
const BURST_MAX = 150;
/** A healed network delays no more than this on average. */
const HEALED_DELAY_MS = 1;

export interface RunOptions {
  readonly seed: number;
  /** Drawn from the seed, 2 to 9, if it is not given. */
  readonly members?: number;
}

export interface RunResult {
  readonly digest: string;
  readonly faults: string;
  readonly seen: ReadonlyMap<string, number>;
  /** Simulated milliseconds from the end of the faults to equal replicas. */
  readonly settledAfterMs: number;
}

/**
 * One seed in two phases. Hostile: members join, write, crash, stand still and are cut off, on
 * lines and hosts that lose, double, reorder and choke; each seed has a subset of that. Healed: the
 * faults end, but for some loss; all must become ready and equal. Throws when an invariant does not
 * hold.
 */
export function hostileRun({ seed, members }: RunOptions): RunResult {
  const random = new Random(seed ^ 0x5eed);
  const faults = drawFaults(random, new Random(seed ^ 0x1a7e), members);
  const names = Array.from({ length: faults.members }, nameOf);
  const cluster = new SimulatedCluster({ seed, faults: faults.network });
  prepareTransports(cluster, faults, names);
  for (const name of names.slice(faults.acknowledge)) cluster.listeners.add(name);
  if (faults.acknowledge < names.length) cluster.rare.count('second tier');
  names.forEach((name, index) => {
    cluster.simulator.host(name).limits = faults.limits[index] ?? UNLIMITED;
    cluster.start(name);
  });
  cluster.run(random.below(2_000));
  const end = cluster.simulator.now + HOSTILE_MS;
  while (cluster.simulator.now < end) {
    act(cluster, faults.deeds, random);
    cluster.run(random.exponential(60));
  }
  heal(cluster, faults, random);
  const healedAt = cluster.simulator.now;
  const told = () => `${describeFaults(faults)}${explain(cluster)}`;
  if (!cluster.settle(HEALED_MS)) throw new Error(`not settled: ${told()}`);
  const settledAfterMs = cluster.simulator.now - healedAt;
  cluster.run(STAYS_MS);
  if (!cluster.settle(HEALED_MS)) throw new Error(`came apart again: ${told()}`);
  cluster.checker.settled();
  for (const life of cluster.alive) cluster.rare.ended(life);
  const digest = cluster.simulator.digest();
  return { digest, faults: describeFaults(faults), seen: cluster.rare.seen, settledAfterMs };
}

function nameOf(_: unknown, index: number): string {
  return NAMES[index] ?? `member ${index + 1}`;
}

/** Where some have no multicast, all are told where the others are. */
function prepareTransports(
  cluster: SimulatedCluster,
  { transports }: Faults,
  names: readonly string[],
): void {
  if (transports === 'auto') return;
  cluster.tellEndpoints(names);
  names.forEach((name, index) => {
    if (transports === 'unicast' || index % 2 === 1) cluster.transports.set(name, 'unicast');
  });
  cluster.rare.count(transports === 'unicast' ? 'no multicast' : 'multicast for some');
}

function heal(cluster: SimulatedCluster, { lastingLoss }: Faults, random: Random): void {
  const { network } = cluster.simulator;
  const delayMeanMs = Math.min(network.faults.delayMeanMs, HEALED_DELAY_MS);
  network.faults = { ...network.faults, loss: lastingLoss, ownLoss: 0, replay: 0, delayMeanMs };
  cluster.heal();
  for (const name of cluster.names) {
    const life = cluster.life(name);
    life.host.limits = UNLIMITED;
    life.host.skewClock(0);
    if (life.alive) cluster.resume(name);
    else if (random.chance(0.5)) cluster.start(name);
  }
}

function act(cluster: SimulatedCluster, deeds: ReadonlySet<Deed>, random: Random): void {
  const name = random.pick(cluster.names);
  const key = () => `key ${random.below(KEYS)}`;
  const dice = random.uniform();
  if (!cluster.life(name).alive) {
    if (dice < 0.3) cluster.start(name, random.chance(0.2) ? random.pick(cluster.names) : name);
    return;
  }
  const add = () => cluster.add(name, key(), valueOf(random), lifeOf(random));
  const acts: readonly [share: number, deed: Deed | undefined, act: () => void][] = [
    [60, undefined, add],
    [3, 'burst', () => repeat(random.below(BURST_MAX), add)],
    [15, 'remove', () => cluster.remove(name, key())],
    [1, 'purge', () => cluster.purge(name)],
    [2, 'crash', () => cluster.crash(name)],
    [1, 'restart', () => restart(cluster, name)],
    [2, 'pause', () => cluster.pause(name)],
    [
      1,
      'pause for about the exclusion bound',
      () => pauseFor(cluster, name, EXCLUSION_MS * (0.8 + random.uniform() * 0.4)),
    ],
    [6, 'pause', () => cluster.resume(name)],
    [2, 'partition', () => cluster.partition(...partsOf(cluster.names, random))],
    [2, 'cut', () => cluster.cut(name, random.pick(cluster.names))],
    [1, 'skew', () => cluster.skewClock(name, random.below(2 * SKEW_MS) - SKEW_MS)],
    [7, undefined, () => cluster.heal()],
    [2, 'leave', () => cluster.leave(name)],
    [2, 'cut multicast', () => cluster.cutMulticast(name, random.pick(cluster.names))],
    [1, 'forget', () => cluster.forget(name)],
  ];
  const possible = acts.filter(([, deed]) => deed === undefined || deeds.has(deed));
  let left = random.uniform() * possible.reduce((sum, [share]) => sum + share, 0);
  possible.find(([share]) => (left -= share) < 0)?.[2]();
}

function repeat(times: number, act: () => void): void {
  for (let time = 0; time < times; time += 1) act();
}

/** Its process is there again before anybody missed it. */
function restart(cluster: SimulatedCluster, name: string): void {
  cluster.crash(name);
  cluster.start(name);
}

function pauseFor(cluster: SimulatedCluster, name: string, durationMs: number): void {
  cluster.pause(name);
  const life = cluster.life(name);
  cluster.simulator.after(durationMs, () => {
    if (cluster.life(name) === life && life.alive) cluster.resume(name);
  });
}

function partsOf(names: readonly string[], random: Random): string[][] {
  const parts: string[][] = [[], [], []];
  for (const name of names) random.pick(parts).push(name);
  return parts;
}

/** Some are many fragments. */
function valueOf(random: Random): string {
  const most = random.chance(0.1) ? 60_000 : 2_500;
  return `value ${random.word()}`.padEnd(random.below(most));
}

/** Some records expire while the run goes on. */
function lifeOf(random: Random): number {
  return random.chance(0.3) ? 200 + random.below(5_000) : 600_000;
}

function explain(cluster: SimulatedCluster): string {
  return cluster.alive
    .map(({ name, replica, log }) => {
      const view = replica.group.members.map(({ beat }) => beat?.name).join();
      const { sequence, acknowledged } = replica.group.outbound;
      const digest = Buffer.from(replica.cache.digest()).toString('hex');
      const state = `${replica.state} (${replica.reason})`;
      const last = log.slice(-12).join('\n    ');
      return `\n  ${name}: ${state}, view [${view}], ${acknowledged}/${sequence}, ${digest}\n    ${last}`;
    })
    .join('');
}
