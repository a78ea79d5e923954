import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type GateName, GATES } from '@argyle/multicast';
import { BenchError } from '../bench-error.ts';
import type { Bar, Benchmark, Contender, Sample } from '../benchmark.ts';
import type { FlowLook, FlowMemberOptions, FlowRequest } from '../flow-member.ts';
import { LineProcess } from '../line-process.ts';
import { LINE_MBIT, type Narrow, Namespaces } from '../namespaces.ts';
import type { Site } from '../site.ts';

const PROGRAM = fileURLToPath(new URL('../flow-member.ts', import.meta.url));
const NAMES = ['alpha', 'bravo', 'charlie'] as const;
const READY_WITHIN_MS = 20_000;
const LOOK_AGAIN_MS = 50;
/** What a run has to get going, and how long it is then measured. */
const WARM_S = 2;
const MEASURED_S = 10;
const SMALL_S = 0.5;

/** A member that got no processor for so long makes a run that says nothing. */
const PAUSED_MAX_MS = 150;
const ATTEMPTS = 6;

const BRIDGE = 'narrow at the bridge';
const SENDER = 'narrow at the sender';
const SLOW = 'a member takes 1 ms a segment';
const THREE = 'three senders';

interface Scene {
  readonly narrow: Narrow;
  readonly senders: number;
  /** Of charlie. */
  readonly slowMs: number;
}

const SCENES: Readonly<Record<string, Scene>> = {
  [BRIDGE]: { narrow: 'bridge', senders: 1, slowMs: 0 },
  [SENDER]: { narrow: 'sender', senders: 1, slowMs: 0 },
  [SLOW]: { narrow: 'bridge', senders: 1, slowMs: 1 },
  [THREE]: { narrow: 'bridge', senders: 3, slowMs: 0 },
};

/** What governs the senders. */
interface Way {
  readonly gates: readonly GateName[];
  readonly mbit?: number;
}

const SIX = 'all six gates';

export const flow: Benchmark = {
  name: 'flow',
  question:
    'How much of a narrow line do gates fill, and what is lost, beside self-receipt alone and fixed rates?',
  loads: Object.keys(SCENES),
  contenders: [
    contender('gates', SIX, { gates: GATES }),
    contender('self-receipt', 'self-receipt alone', { gates: ['self-receipt'] }),
    contender('fixed', 'a fixed rate, too high', { gates: [], mbit: 2 * LINE_MBIT }),
    contender('fixed', 'a fixed rate, too low', { gates: [], mbit: LINE_MBIT / 4 }),
  ],
  columns: [
    { figure: 'mbit', title: 'applied at the slowest, Mbit/s', digits: 1 },
    { figure: 'repaired', title: 'repaired %', digits: 2 },
    { figure: 'lostBeside', title: 'lost at the fast member', digits: 0 },
    { figure: 'leastShare', title: 'least sender’s share %', digits: 0 },
    { figure: 'rssMb', title: 'largest member, MB', digits: 0 },
    { figure: 'pausedMs', title: 'longest pause of a member, ms', digits: 0 },
  ],
  baseline: { contender: SIX, figures: [{ figure: 'mbit', title: 'applied' }] },
  bars: [
    ...[BRIDGE, SENDER].flatMap((load): Bar[] => [
      bar('at least 75 % of the line', load, 'mbit', 'at least', 0.75 * LINE_MBIT),
      bar('at most 2 % of segments repaired', load, 'repaired', 'at most', 2),
    ]),
    bar('no other member loses anything', SLOW, 'lostBeside', 'at most', 0),
    bar('memory stays bounded: at most 200 MB', SLOW, 'rssMb', 'at most', 200),
    bar('each sender has at least 25 % of the total', THREE, 'leastShare', 'at least', 25),
  ],
  fresh: true,
  document: '../multicast/PROTOCOL.md',
  notes: [
    `Three members in network namespaces, over a bridge in one of its own; lines are narrow, at its ports towards the members where nothing else is said, by \`tbf rate ${LINE_MBIT}mbit burst 32kb latency 50ms\`. Records of 200 bytes; what counts is their bytes alone, as the slowest member has applied them (of several senders, the sum). Fixed rates are ${2 * LINE_MBIT} and ${LINE_MBIT / 4} Mbit/s a sender, and no gate. Each run has ${WARM_S} s to get going and is measured for ${MEASURED_S} s; one in which a member got no processor for ${PAUSED_MAX_MS} ms is made again.`,
  ],
};

function bar(text: string, load: string, figure: string, sense: Bar['sense'], limit: number): Bar {
  return { text, load, contender: SIX, figure, sense, limit };
}

function contender(family: string, name: string, way: Way): Contender {
  const open = (site: Site) =>
    Promise.resolve({
      measure: (load: string) => measure(site, way, load),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  const needs = ['ip', 'tc'].map((program) => ({ program, debianPackage: 'iproute2' }));
  return { family, name, needs, open };
}

async function measure(site: Site, way: Way, load: string): Promise<Sample> {
  const scene = SCENES[load];
  if (!scene) throw new BenchError('run', `${load}: found no such scene`);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const sample = await tryMeasure(site, way, scene);
    if (site.small || (sample['pausedMs'] ?? 0) <= PAUSED_MAX_MS) return sample;
  }
  const message = `${load}: in ${ATTEMPTS} runs a member got no processor for ${PAUSED_MAX_MS} ms`;
  throw new BenchError('run', message);
}

async function tryMeasure(site: Site, way: Way, scene: Scene): Promise<Sample> {
  using namespaces = new Namespaces(NAMES.length, scene.narrow);
  await using processes = new AsyncDisposableStack();
  const members = NAMES.map((name, index) =>
    processes.use(
      start(namespaces, index + 1, {
        name,
        address: namespaces.addressOf(index + 1),
        members: NAMES.length,
        gates: way.gates,
        slowMs: name === 'charlie' ? scene.slowMs : 0,
      }),
    ),
  );
  await untilReady(members);
  const { mbit } = way;
  for (const member of members.slice(0, scene.senders))
    await member.ask(mbit === undefined ? { kind: 'press' } : { kind: 'press', mbit });
  await delay(1_000 * (site.small ? SMALL_S : WARM_S));
  const before = await lookAll(members);
  await delay(1_000 * (site.small ? SMALL_S : MEASURED_S));
  return figures(scene, before, await lookAll(members));
}

type FlowProcess = LineProcess<FlowRequest, FlowLook>;

function start(namespaces: Namespaces, host: number, options: FlowMemberOptions): FlowProcess {
  const [command = '', ...args] = namespaces.at(host);
  const program = [process.execPath, PROGRAM, JSON.stringify(options)];
  return new LineProcess(options.name, command, [...args, ...program]);
}

async function untilReady(members: readonly FlowProcess[]): Promise<void> {
  const end = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const looks = await lookAll(members);
    if (looks.every((look) => look.members === members.length - 1)) return;
    if (performance.now() > end) throw new BenchError('start', 'the members do not meet');
    await delay(LOOK_AGAIN_MS);
  }
}

function lookAll(members: readonly FlowProcess[]): Promise<FlowLook[]> {
  return Promise.all(members.map((member) => member.ask({ kind: 'look' })));
}

function figures(
  { senders, slowMs }: Scene,
  before: readonly FlowLook[],
  after: readonly FlowLook[],
): Sample {
  /** Of one sender, at the receiver that has applied the least. */
  const mbit = NAMES.slice(0, senders).map((sender) =>
    Math.min(
      ...after.flatMap((look, index) => {
        if (NAMES[index] === sender) return [];
        const bytes = (look.applied[sender] ?? 0) - (before[index]?.applied[sender] ?? 0);
        return [(bytes * 8) / 1_000 / (look.atMs - (before[index]?.atMs ?? 0))];
      }),
    ),
  );
  const total = mbit.reduce((sum, each) => sum + each, 0);
  const grown = (figure: 'segments' | 'repairs') =>
    after.reduce((sum, look, index) => sum + look[figure] - (before[index]?.[figure] ?? 0), 0);
  const sample = {
    mbit: total,
    repaired: (100 * grown('repairs')) / grown('segments'),
    rssMb: Math.max(...after.map(({ rssBytes }) => rssBytes)) / 1e6,
    pausedMs: Math.max(...after.map(({ pausedMs }) => pausedMs)),
  };
  if (senders > 1) return { ...sample, leastShare: (100 * Math.min(...mbit)) / total };
  if (slowMs === 0) return sample;
  const repaired = (looks: readonly FlowLook[]) => looks[0]?.repairedFor['bravo'] ?? 0;
  return { ...sample, lostBeside: repaired(after) - repaired(before) };
}
