import { EXCLUSION_MS } from '@argyle/multicast';
import { Random } from '@argyle/simulator';
import { SimulatedCluster } from './simulated-cluster.ts';

const NAMES = ['alpha', 'bravo', 'charlie', 'delta', 'echo'];
const KEYS = 40;
/** Of hostile simulated time, then of healing at most. */
const HOSTILE_MS = 12_000;
const HEALED_MS = 15_000;
/** Of a wall clock, either way: two of them stay within the skew that tombstones allow for. */
const SKEW_MS = 2_000;

export interface RunResult {
  readonly digest: string;
  readonly seen: ReadonlyMap<string, number>;
  /** Simulated milliseconds from the end of the faults to equal replicas. */
  readonly settledAfterMs: number;
}

/**
 * One seed: members join, write, crash, stand still and are cut off on a network that loses,
 * doubles and reorders; the checker looks on. Then the faults end, and all must become ready and
 * equal. Each seed draws which faults it has. Throws when an invariant does not hold.
 */
export function hostileRun(seed: number): RunResult {
  const random = new Random(seed ^ 0x5eed);
  const draw = (most: number) => (random.chance(0.5) ? random.uniform() * most : 0);
  const cluster = new SimulatedCluster({
    seed,
    faults: {
      loss: draw(0.3),
      ownLoss: draw(0.2),
      duplicate: draw(0.2),
      replay: draw(0.2),
      delayMeanMs: 0.1 + draw(20),
      dyingMs: draw(50),
    },
  });
  const size = 2 + random.below(NAMES.length - 1);
  for (const name of NAMES.slice(0, size)) cluster.start(name);
  cluster.run(random.below(2_000));
  const end = cluster.simulator.now + HOSTILE_MS;
  while (cluster.simulator.now < end) {
    act(cluster, random);
    cluster.run(random.exponential(60));
  }
  cluster.simulator.network.faults = {
    ...cluster.simulator.network.faults,
    loss: 0,
    ownLoss: 0,
    replay: 0,
  };
  cluster.heal();
  for (const name of cluster.names) {
    cluster.life(name).host.skewClock(0);
    if (cluster.life(name).alive) cluster.resume(name);
    else if (random.chance(0.5)) cluster.start(name);
  }
  const healedAt = cluster.simulator.now;
  if (!cluster.settle(HEALED_MS)) throw new Error(`not settled: ${explain(cluster)}`);
  const settledAfterMs = cluster.simulator.now - healedAt;
  // Writes that were cut off at their author end by their own time-out.
  cluster.run(5_100);
  if (!cluster.settle(1_000)) throw new Error(`came apart again: ${explain(cluster)}`);
  cluster.checker.settled();
  return { digest: cluster.simulator.digest(), seen: cluster.checker.seen, settledAfterMs };
}

function act(cluster: SimulatedCluster, random: Random): void {
  const name = random.pick(cluster.names);
  const key = `key ${random.below(KEYS)}`;
  const dice = random.uniform();
  if (!cluster.life(name).alive) {
    if (dice < 0.3) cluster.start(name, random.chance(0.2) ? random.pick(cluster.names) : name);
    return;
  }
  const acts: readonly [share: number, act: () => void][] = [
    [60, () => cluster.add(name, key, valueOf(random), lifeOf(random))],
    [15, () => cluster.remove(name, key)],
    [1, () => cluster.purge(name)],
    [2, () => cluster.crash(name)],
    [1, () => restart(cluster, name)],
    [2, () => cluster.pause(name)],
    [1, () => pauseForAbout(cluster, name, EXCLUSION_MS * (0.8 + random.uniform() * 0.4))],
    [6, () => cluster.resume(name)],
    [2, () => cluster.partition(...partsOf(cluster.names, random))],
    [2, () => cluster.simulator.network.cut(name, random.pick(cluster.names))],
    [1, () => cluster.life(name).host.skewClock(random.below(2 * SKEW_MS) - SKEW_MS)],
    [7, () => cluster.heal()],
  ];
  let left = random.uniform() * acts.reduce((sum, [share]) => sum + share, 0);
  acts.find(([share]) => (left -= share) < 0)?.[1]();
}

/** Its process is there again before anybody missed it. */
function restart(cluster: SimulatedCluster, name: string): void {
  cluster.crash(name);
  cluster.start(name);
}

function pauseForAbout(cluster: SimulatedCluster, name: string, durationMs: number): void {
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
