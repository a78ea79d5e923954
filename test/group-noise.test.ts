import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Flood, type FloodKind } from './flood.ts';
import type { GroupMemberAnswer } from './group-member.ts';
import { GROUP_NOISE, groupNoise, type GroupNoise } from './group-noise-kinds.ts';
import { LoopbackGroup } from './loopback-group.ts';
import { GroupTap } from './noise.ts';
import { leastGrowth } from './noise-watch.ts';
import { kernelDrops } from './process-sockets.ts';
import { missing, until } from './real-cluster.ts';

const FULL = process.env['ARGYLE_TEST_FULL'] === '1';
const MEMBERS = 3;
const WRITERS = 64;
/** Of noise, after as many seconds without any. */
const ROUNDS = FULL ? 1 : 3;
const SECONDS = FULL ? 60 : 1.5;
/** Until what reads noise is compiled. */
const WARM_SECONDS = 3;
const MODERATE = 5_000;
const HEAVY = 20_000;
/** Of the noise; the rest goes to the writer's own port, where it is acknowledged. */
const GROUP_SHARE = 0.8;
const RATIO_MIN = 0.5;
/** Filled soon, by the same records again and again. */
const CAPACITY_BYTES = 16 * 2 ** 20;
const RECORDS = 5_000;
const FILLING_WRITES = 100_000;
const FILLED_MS = 60_000;
const RECORDED = 20;
const LOOK_MS = 100;
const PAUSE_MS_MAX = 2_000;
const SETTLE_MS = 10_000;
/** Copies by two ways, and what was repaired twice, come without any noise. */
const OWN_REPLAYED_PER_SECOND = 20;
const OWN_REASONS = ['duplicate', 'stale', 'beyond window', 'not followed'];
/** In a minute; in the small size's seconds a process has not reached its size yet. */
const RESIDENT_BYTES_MAX = (FULL ? 32 : 128) * 2 ** 20;
const HEAP_BYTES_MAX = (FULL ? 16 : 64) * 2 ** 20;
const EIGHTHS = 8;
t.setTimeout(FULL ? 600_000 : 110_000);

interface Sample {
  readonly at: number;
  readonly said: readonly GroupMemberAnswer[];
}

/** What members have counted, and their systems, when nothing was under way. */
interface Standing {
  readonly said: readonly GroupMemberAnswer[];
  readonly kernelDrops: readonly number[];
}

t.test('a group writes through noise', { skip: await missing('cc') }, async (t) => {
  const flood = await Flood.make();
  t.teardown(() => flood.remove());
  const group = await LoopbackGroup.open(MEMBERS, CAPACITY_BYTES);
  t.teardown(() => group.end());
  const [writer] = group.members;
  const known = (await group.status()).map(({ incarnations, viewChanges }) => {
    return { incarnations, viewChanges };
  });
  await writer!.ask({ kind: 'begin', records: RECORDS, writers: WRITERS });
  const kinds = groupNoise(await record(group));
  const scene = { group, flood, kinds };
  await until('caches are full', FILLED_MS, async () => {
    return (await group.status())[0]!.written > FILLING_WRITES;
  });
  await send(scene, MODERATE, WARM_SECONDS);

  const quiet = () => watch(group, sleep(SECONDS * 1_000));
  const without = [rateOf(await quiet())];
  const moderate: number[] = [];
  const noisy: Sample[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const samples = await underNoise(t, scene, MODERATE);
    noisy.push(...samples);
    moderate.push(rateOf(samples));
    without.push(rateOf(await quiet()));
  }
  const heavy = await underNoise(t, scene, HEAVY);

  const ratio = mean(moderate) / mean(without);
  t.ok(ratio >= RATIO_MIN, `at ${MODERATE} a second writes go on at ${ratio.toFixed(2)}`);
  const rates = (all: readonly number[]) => all.map(Math.round).join(' ');
  t.comment(`writes/s without noise ${rates(without)}, at ${MODERATE} ${rates(moderate)}`);
  t.comment(`ratio ${ratio.toFixed(2)}; at ${HEAVY} ${rates([rateOf(heavy)])} writes/s`);
  for (const index of group.members.keys()) {
    memoryIsFlat(t, `member ${index + 1}, at ${MODERATE}`, index, noisy);
    memoryIsFlat(t, `member ${index + 1}, at ${HEAVY}`, index, heavy);
  }
  const { written, failures } = await writer!.ask({ kind: 'end' });
  t.same(failures, {}, `each of ${written} writes was applied by all`);
  await until('all replicas are equal', SETTLE_MS, async () => {
    const said = await group.status();
    const equal = new Set(said.map(({ digest }) => digest)).size === 1;
    return equal && said.every(({ records }) => records === RECORDS);
  });
  const now = (await group.status()).map(({ incarnations, viewChanges }) => {
    return { incarnations, viewChanges };
  });
  t.same(now, known, 'the views have not changed');
});

/** Some of what the members send to the group. */
async function record(group: LoopbackGroup): Promise<Buffer[]> {
  const tap = await GroupTap.open(group.endpoint);
  const heard = () => new Set(tap.recorded.map(({ incarnation }) => incarnation)).size;
  await until('all were heard', SETTLE_MS, () => heard() === MEMBERS && tap.recorded.length > 500);
  await tap.close();
  const byOthers = Map.groupBy(tap.recorded, ({ incarnation }) => incarnation);
  // The writer sends most; a third of them is to be of each.
  const shares = [...byOthers.values()].map((segments) => segments.slice(-RECORDED / MEMBERS));
  return shares.flat().map(({ bytes }) => bytes);
}

interface Scene {
  readonly group: LoopbackGroup;
  readonly flood: Flood;
  readonly kinds: readonly FloodKind[];
}

/** What was sent to all, and besides to the writer alone. */
function send({ group, flood, kinds }: Scene, perSecond: number, seconds: number) {
  const at = (share: number) => ({ perSecond: share * perSecond, seconds });
  return Promise.all([
    flood.run(group.endpoint, at(GROUP_SHARE), kinds),
    flood.run(group.own(0), at(1 - GROUP_SHARE), kinds),
  ]);
}

/** Answers what the members said meanwhile. */
async function underNoise(t: Test, scene: Scene, perSecond: number): Promise<Sample[]> {
  const { group } = scene;
  const before = await settled(group);
  const sending = send(scene, perSecond, SECONDS);
  const samples = await watch(group, sending);
  const [toAll, toWriter] = await sending;
  const after = await settled(group);
  for (const index of group.members.keys()) {
    const sent = new Map<string, number>(toAll.sent);
    if (index === 0) {
      for (const [label, count] of toWriter.sent) sent.set(label, (sent.get(label) ?? 0) + count);
    }
    everyOneIsCounted(t, index, sent, countedSince(before, after, index));
  }
  t.equal(toAll.answers + toWriter.answers, 0, 'nothing is answered');
  const failed = after.said[0]!.failed - before.said[0]!.failed;
  t.equal(failed, 0, `no write failed at ${perSecond} a second`);
  const pauseMs = longestPauseMs(samples);
  t.ok(pauseMs < PAUSE_MS_MAX, `writes go on: the longest pause is below ${pauseMs} ms`);
  return samples;
}

interface Counted {
  readonly reasons: ReadonlyMap<string, number>;
  readonly drops: number;
}

/** Sent is counted by reason, or dropped by the system. */
function everyOneIsCounted(
  t: Test,
  index: number,
  sent: ReadonlyMap<string, number>,
  { reasons, drops }: Counted,
): void {
  const sum = (counts: ReadonlyMap<string, number>) =>
    counts.values().reduce((all, count) => all + count, 0);
  const all = sum(sent);
  const counted = sum(reasons);
  const own = OWN_REPLAYED_PER_SECOND * SECONDS;
  const name = `member ${index + 1}`;
  t.ok(counted + drops >= all, `${name}: ${counted} counted and ${drops} dropped of ${all}`);
  t.ok(counted <= all + own, `and no more than ${own} others`);
  for (const [reason, count] of reasons) {
    const kinds = Object.entries(GROUP_NOISE).filter(([, by]) => by.some((one) => one === reason));
    const most = kinds.reduce((total, [kind]) => total + (sent.get(kind) ?? 0), 0);
    t.ok(count <= most + (reason === 'replayed' ? own : 0), `${name}: ${count} as ${reason}`);
  }
  for (const kind of Object.keys(GROUP_NOISE) as GroupNoise[]) {
    const by = GROUP_NOISE[kind].reduce((total, reason) => total + (reasons.get(reason) ?? 0), 0);
    const came = sent.get(kind) ?? 0;
    t.ok(came > 0 && by >= came - drops, `${name}: of ${came} ${kind} ${by} may be counted`);
  }
  const text = JSON.stringify(Object.fromEntries(reasons));
  t.comment(`${name}: ${all} sent, ${drops} dropped by the system, counted ${text}`);
}

/** The second half of the noise adds nothing to what the first took. */
function memoryIsFlat(t: Test, name: string, index: number, samples: readonly Sample[]): void {
  const of = (name: 'residentBytes' | 'heapBytes') => samples.map(({ said }) => said[index]![name]);
  const resident = leastGrowth(of('residentBytes'));
  const heap = leastGrowth(of('heapBytes'));
  t.ok(resident < RESIDENT_BYTES_MAX, `${name}: the process has grown by ${resident} bytes`);
  t.ok(heap < HEAP_BYTES_MAX, `and its heap by ${heap}`);
  const [all, used] = [series(of('residentBytes')), series(of('heapBytes'))];
  t.comment(`${name}: ${all} MB, its heap ${used} MB`);
}

/** The least of each eighth of the time, in megabytes. */
function series(samples: readonly number[]): string {
  const size = Math.ceil(samples.length / EIGHTHS);
  const parts = Array.from({ length: EIGHTHS }, (_, at) =>
    samples.slice(at * size, (at + 1) * size),
  );
  const least = parts.filter(({ length }) => length > 0).map((part) => Math.min(...part));
  return least.map((bytes) => Math.round(bytes / 2 ** 20)).join(' ');
}

/** Asks all, again and again, until that has ended. */
async function watch(group: LoopbackGroup, meanwhile: Promise<unknown>): Promise<Sample[]> {
  const samples: Sample[] = [];
  let over = false;
  const ended = meanwhile.finally(() => (over = true));
  while (!over) {
    samples.push({ at: performance.now(), said: await group.status() });
    await Promise.race([ended, sleep(LOOK_MS)]);
  }
  await ended;
  return samples;
}

function rateOf(samples: readonly Sample[]): number {
  const [first, last] = [samples[0]!, samples.at(-1)!];
  return ((writtenAt(last) - writtenAt(first)) * 1_000) / (last.at - first.at);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function writtenAt({ said }: Sample): number {
  return said[0]!.written;
}

/** Between two looks, at the second of which there were more writes. */
function longestPauseMs(samples: readonly Sample[]): number {
  let [longest, since, written] = [0, samples[0]!.at, writtenAt(samples[0]!)];
  for (const sample of samples) {
    if (writtenAt(sample) === written && sample !== samples.at(-1)) continue;
    longest = Math.max(longest, Math.ceil(sample.at - since));
    [since, written] = [sample.at, writtenAt(sample)];
  }
  return longest;
}

async function standing(group: LoopbackGroup): Promise<Standing> {
  const said = await group.status();
  return { said, kernelDrops: group.members.map(({ pid }) => kernelDrops(pid)) };
}

/** Once no noise is counted any more. */
async function settled(group: LoopbackGroup): Promise<Standing> {
  const noise = ({ said }: Standing) => {
    return said.map(({ dropped }) => (dropped['version'] ?? 0) + (dropped['authentication'] ?? 0));
  };
  let last = await standing(group);
  await until('no noise comes any more', SETTLE_MS, async () => {
    const now = await standing(group);
    const same = noise(now).every((count, index) => count === noise(last)[index]);
    last = now;
    return same;
  });
  return last;
}

function countedSince(before: Standing, after: Standing, index: number): Counted {
  const earlier = before.said[index]!.dropped;
  const grown = Object.entries(after.said[index]!.dropped)
    .map(([reason, count]): [string, number] => [reason, count - (earlier[reason] ?? 0)])
    .filter(([reason, count]) => count > 0 && !OWN_REASONS.includes(reason));
  const drops = after.kernelDrops[index]! - before.kernelDrops[index]!;
  return { reasons: new Map(grown), drops };
}
