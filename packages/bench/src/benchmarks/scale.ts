import type { Bar, Benchmark, Contender, Sample } from '../benchmark.ts';
import { SimulatedMembers, type Traffic } from '../simulated-members.ts';
import type { Site } from '../site.ts';

const SIZES: ReadonlyMap<string, number> = new Map(
  [4, 8, 16, 32, 64, 128].map((members) => [`${members} members`, members]),
);
const REPOSITORIES = 4;
const RECORD = new Uint8Array(1_024);
/** Simulated. */
const SETTLED_MS = 2_000;
const QUIET_MS = 2_000;
const AFTER_WRITE_MS = 200;
const WARM_WRITES = 200;
const WRITES = 1_000;
const SMALL_WRITES = 50;

const ALL = 'all acknowledge';
const TIERED = `${REPOSITORIES} repositories, the others listen`;

export const scale: Benchmark = {
  name: 'scale',
  question:
    'What does a write cost a group in packets, bytes and time, the larger it is, and what do heartbeats cost it all along?',
  loads: [...SIZES.keys()],
  contenders: [
    contender('all', ALL, (members) => members),
    contender('repositories', TIERED, () => REPOSITORIES),
  ],
  columns: [
    { figure: 'packets', title: 'single write, packets', digits: 0 },
    { figure: 'bytes', title: 'bytes', digits: 0 },
    { figure: 'ms', title: 'ms', digits: 2 },
    { figure: 'loadPackets', title: 'under load, packets a write', digits: 2 },
    { figure: 'loadBytes', title: 'bytes a write', digits: 0 },
    { figure: 'loadRate', title: 'writes a second', digits: 0 },
    { figure: 'beats', title: 'heartbeats a second', digits: 0 },
    { figure: 'beatKb', title: 'their kB a second', digits: 0 },
    { figure: 'formedMs', title: 'ms until all know all', digits: 0 },
  ],
  baseline: { contender: ALL, figures: [{ figure: 'packets', title: 'packets' }] },
  bars: [...SIZES].flatMap(([load, members]): Bar[] => [
    bar(load, ALL, members),
    bar(load, TIERED, 1 + Math.min(REPOSITORIES, members - 1)),
  ]),
  fresh: true,
  document: '../multicast/PROTOCOL.md',
  plot: {
    file: 'scale.svg',
    title: 'A write to a group of N',
    x: { title: 'members', of: (load) => SIZES.get(load) ?? 0 },
    figures: [
      { figure: 'packets', title: 'packets of a single write' },
      { figure: 'loadPackets', title: 'packets a write under load' },
      { figure: 'loadBytes', title: 'bytes a write under load' },
      { figure: 'ms', title: 'ms, single write' },
    ],
  },
  notes: [
    `In the simulator, with the real protocol and its seals: lines of 1 Gbit/s, 0.15 ms one way, 20 µs to read a datagram, no loss, segments of 1 400 bytes, records of ${RECORD.length} bytes. The last member writes; done is when all who acknowledge have applied it. Bytes are those of datagrams with IPv4 and UDP headers, each datagram once, however many a multicast reaches. Heartbeats are the whole group's.`,
  ],
};

function bar(load: string, contender: string, limit: number): Bar {
  const text = 'a single write is one packet out, and one back from each who acknowledges';
  return { text, load, contender, figure: 'packets', sense: 'at most', limit };
}

function contender(
  family: string,
  name: string,
  acknowledge: (members: number) => number,
): Contender {
  const open = (site: Site) =>
    Promise.resolve({
      measure: (load: string) => {
        const members = SIZES.get(load) ?? 0;
        return Promise.resolve(measure(site, members, acknowledge(members)));
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  return { family, name, needs: [], open };
}

function measure(site: Site, members: number, acknowledge: number): Sample {
  const group = new SimulatedMembers(members, acknowledge);
  group.simulator.run(SETTLED_MS);
  const settled = group.traffic;
  group.simulator.run(QUIET_MS);
  const quiet = group.traffic;
  const ms = group.write(RECORD);
  group.simulator.run(AFTER_WRITE_MS);
  const written = group.traffic;
  group.press(site.small ? SMALL_WRITES : WARM_WRITES, RECORD);
  const warm = group.traffic;
  const writes = site.small ? SMALL_WRITES : WRITES;
  const loadMs = group.press(writes, RECORD);
  const beats = difference(quiet.beats, settled.beats);
  const single = difference(written.writes, quiet.writes);
  const load = difference(group.traffic.writes, warm.writes);
  return {
    ...{ packets: single.packets, bytes: single.bytes, ms },
    ...{ loadPackets: load.packets / writes, loadBytes: load.bytes / writes },
    loadRate: (1_000 * writes) / loadMs,
    beats: (1_000 * beats.packets) / QUIET_MS,
    beatKb: beats.bytes / QUIET_MS,
    formedMs: group.formedMs,
  };
}

function difference(now: Traffic, before: Traffic): Traffic {
  return { packets: now.packets - before.packets, bytes: now.bytes - before.bytes };
}
