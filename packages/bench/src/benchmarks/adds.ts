import { argyle } from '../argyle.ts';
import { BenchError } from '../bench-error.ts';
import type { Bar, Benchmark, Sample } from '../benchmark.ts';
import { MemberGroup } from '../member-group.ts';
import { redis, type RedisServers } from '../peers/redis.ts';
import type { Site } from '../site.ts';
import { runLoad } from '../tools.ts';

const MEMBERS = 3;
const REPLICAS = MEMBERS - 1;
const ONE = '1 writer';
const SOME = '64 writers';
const MANY = '1 000 writers';
const WRITERS: Readonly<Record<string, number>> = { [ONE]: 1, [SOME]: 64, [MANY]: 1_000 };
const ARGYLE = 'argyle, 3 members';
const REDIS = 'redis SET + WAIT 2';
const peer = redis(REPLICAS);

const NOTES = [
  'A writer has one write under way. Writers of Argyle are in the process of a member, as those of a node are, and their work is in its column; those of Redis are connections of a load tool.',
  'Both are three processes on one machine and keep nothing on disk. Records of Argyle expire, and go sealed from member to member; those of Redis do neither.',
];

/** Records as large as a session's. */
export const add: Benchmark = adds('add', 300, [
  {
    text: 'ADD with 64 writers at least 0.5 × as many a second as Redis',
    load: SOME,
    contender: ARGYLE,
    figure: 'rate',
    sense: 'at least',
    limit: 0.5,
    over: { load: SOME, contender: REDIS },
  },
]);

/** Records of 1 KB: what the group carries. */
export const write: Benchmark = adds('write', 1_024, [
  {
    text: '1 000 writers write at least 40 000 a second',
    load: MANY,
    contender: ARGYLE,
    figure: 'rate',
    sense: 'at least',
    limit: 40_000,
  },
  {
    text: '1 000 writers cost all three members at most 30 µs a write',
    load: MANY,
    contender: ARGYLE,
    figure: 'cpuUs',
    sense: 'at most',
    limit: 30,
  },
  {
    text: 'half of single writes are done within 0.35 ms',
    load: ONE,
    contender: ARGYLE,
    figure: 'p50Ms',
    sense: 'at most',
    limit: 0.35,
  },
  {
    text: '64 writers write at least as many a second as with Redis',
    load: SOME,
    contender: ARGYLE,
    figure: 'rate',
    sense: 'at least',
    limit: 1,
    over: { load: SOME, contender: REDIS },
  },
  {
    text: '64 writers cost at most as much processor time a write as with Redis',
    load: SOME,
    contender: ARGYLE,
    figure: 'cpuUs',
    sense: 'at most',
    limit: 1,
    over: { load: SOME, contender: REDIS },
  },
  {
    text: 'half of single writes are done within 1.6 × what they take with Redis',
    load: ONE,
    contender: ARGYLE,
    figure: 'p50Ms',
    sense: 'at most',
    limit: 1.6,
    over: { load: ONE, contender: REDIS },
  },
]);

function adds(name: string, valueBytes: number, bars: readonly Bar[]): Benchmark {
  return {
    name,
    question: `What does an ADD of ${valueBytes} bytes cost that two other members acknowledge, beside Redis SET + WAIT 2?`,
    loads: [ONE, SOME, MANY],
    contenders: [
      argyle(ARGYLE, async (site) => {
        const group = await MemberGroup.open(site, { members: MEMBERS, valueBytes });
        return {
          measure: (load) => measureMembers(group, site, load),
          [Symbol.asyncDispose]: () => group[Symbol.asyncDispose](),
        };
      }),
      {
        family: 'redis',
        name: REDIS,
        needs: peer.needs,
        async open(site) {
          const servers = await peer.open(site);
          // A replica that has just come online acknowledges up to a second late.
          await runLoad('respload', { to: servers.primary, mode: 'setwait', count: 1, secs: 10 });
          return {
            measure: (load) => measureRedis(servers, site, load, valueBytes),
            [Symbol.asyncDispose]: () => servers[Symbol.asyncDispose](),
          };
        },
      },
    ],
    columns: [
      { figure: 'rate', title: 'a second', digits: 0 },
      { figure: 'p50Ms', title: 'p50 ms', digits: 2 },
      { figure: 'p99Ms', title: 'p99 ms', digits: 2 },
      { figure: 'cpuUs', title: 'CPU µs, all three', digits: 1 },
      { figure: 'writersUs', title: 'CPU µs, writers', digits: 1 },
    ],
    baseline: {
      contender: REDIS,
      figures: [
        { figure: 'rate', title: 'rate' },
        { figure: 'p50Ms', title: 'p50' },
        { figure: 'cpuUs', title: 'CPU' },
      ],
    },
    bars,
    fresh: false,
    notes: NOTES,
  };
}

/** A member that got no processor for too long is excluded; that run says nothing. */
const ATTEMPTS = 4;

async function measureMembers(group: MemberGroup, site: Site, load: string): Promise<Sample> {
  const writers = WRITERS[load] ?? 1;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    await group.untilReady();
    const sample = await tryMembers(group, site, writers);
    if (sample) return sample;
  }
  throw new BenchError('run', `${load}: members were excluded in ${ATTEMPTS} runs`);
}

/** Undefined when not every write was acknowledged by every member. */
async function tryMembers(
  group: MemberGroup,
  site: Site,
  writers: number,
): Promise<Sample | undefined> {
  const writer = group.members[0];
  await writer.ask({ kind: 'add', writers, seconds: site.warmSeconds });
  const before = await group.cpuSeconds();
  const answer = await writer.ask({ kind: 'add', writers, seconds: site.seconds });
  const after = await group.cpuSeconds();
  const { done = 0, seconds = 0, unacknowledged = 0, p50Ms = 0, p99Ms = 0 } = answer;
  if (unacknowledged > 0 || done === 0) return undefined;
  const digests = await Promise.all(group.members.map((each) => each.ask({ kind: 'ready' })));
  if (new Set(digests.map(({ digest }) => digest)).size !== 1)
    throw new BenchError('run', 'all was acknowledged, and the digests of the members differ');
  return { rate: done / seconds, p50Ms, p99Ms, cpuUs: ((after - before) * 1e6) / done };
}

async function measureRedis(
  servers: RedisServers,
  site: Site,
  load: string,
  valueBytes: number,
): Promise<Sample> {
  const run = await runLoad('respload', {
    to: servers.primary,
    mode: 'setwait',
    conc: WRITERS[load],
    value: valueBytes,
    wait: REPLICAS,
    secs: site.seconds,
    warm: site.warmSeconds,
    pids: servers.processes.map(({ pid }) => pid).join(','),
  });
  const each = (seconds: number) => (seconds * 1e6) / run.done;
  return {
    rate: run.done / run.secs,
    p50Ms: run.p50_ms,
    p99Ms: run.p99_ms,
    cpuUs: each(run.cpu_s.reduce((sum, cpu) => sum + cpu, 0)),
    writersUs: each(run.own_cpu_s),
  };
}
