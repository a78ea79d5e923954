import { ArgyleCluster } from '../argyle.ts';
import type { Bar, Benchmark, Sample } from '../benchmark.ts';
import { formatNumber } from '../figures.ts';
import { bareDgram } from '../peers/bare-dgram.ts';
import { dante } from '../peers/dante.ts';
import { shadowsocksWith } from '../peers/shadowsocks.ts';
import type { Site } from '../site.ts';
import { runLoad } from '../tools.ts';
import { direct, openArgyle, pidsOf, sides, tunnelContender, type Tunnel } from '../tunnel.ts';

const SIZES = [200, 1_200] as const;
const RATES = [5_000, 10_000] as const;
/** Datagrams under way: the smallest of the receive buffers here holds more of either size. */
const WINDOW = 64;

interface Shape {
  readonly size: number;
  readonly rate?: number;
  readonly window?: number;
}

const LOADS: ReadonlyMap<string, Shape> = new Map(
  SIZES.flatMap((size): [string, Shape][] => [
    ...RATES.map((rate): [string, Shape] => [loadName(size, rate), { size, rate }]),
    [`${formatNumber(size, 0)} B, as fast as it goes`, { size, window: WINDOW }],
  ]),
);

const THREE_NODES = 'argyle, 3 nodes, AES-128-GCM';
const ONE_NODE = 'argyle, 1 node, AES-128-GCM';
const SHADOWSOCKS = 'shadowsocks-libev, AES-128-GCM';
const through = tunnelContender(measure);

export const udp: Benchmark = {
  name: 'udp',
  question:
    'What does a datagram cost, there and back through UDP ASSOCIATE, beside other relays and without one?',
  loads: [...LOADS.keys()],
  contenders: [
    through({
      family: 'argyle',
      name: THREE_NODES,
      open: (site) => openArgyle(site, { nodes: 3 }),
    }),
    through({ family: 'argyle', name: ONE_NODE, open: (site) => openArgyle(site, { nodes: 1 }) }),
    through({
      family: 'argyle',
      name: 'argyle, 1 node, ChaCha20-Poly1305',
      open: (site) => openArgyle(site, { nodes: 1, amend: withChaCha20 }),
    }),
    through({ family: 'shadowsocks', name: SHADOWSOCKS, ...shadowsocksWith('aes-128-gcm') }),
    through({
      family: 'shadowsocks',
      name: 'shadowsocks-libev, ChaCha20-Poly1305',
      ...shadowsocksWith('chacha20-ietf-poly1305'),
    }),
    through({ family: 'node', name: 'node:dgram twice, in clear', ...bareDgram }),
    through({ family: 'argyle', name: 'argyle, 1 node, in clear', open: openInClear }),
    through({ family: 'dante', name: 'dante, in clear', ...dante }),
    direct(measure),
  ],
  columns: [
    { figure: 'rate', title: 'back a second', digits: 0 },
    { figure: 'lostPercent', title: 'lost %', digits: 2 },
    { figure: 'p50Ms', title: 'p50 ms', digits: 2 },
    { figure: 'p99Ms', title: 'p99 ms', digits: 2 },
    { figure: 'nearUs', title: 'client CPU µs', digits: 1 },
    { figure: 'farUs', title: 'node CPU µs', digits: 1 },
    { figure: 'othersUs', title: 'other nodes CPU µs', digits: 1 },
    { figure: 'allUs', title: 'client + nodes CPU µs', digits: 1 },
  ],
  baseline: {
    contender: SHADOWSOCKS,
    figures: [{ figure: 'allUs', title: 'client + nodes CPU' }],
  },
  bars: RATES.flatMap((rate) =>
    [THREE_NODES, ONE_NODE].map((contender): Bar => {
      const load = loadName(1_200, rate);
      return {
        text: "a datagram of 1 200 bytes costs client and nodes at most 1.0 × shadowsocks-libev's processor time, with AES-128-GCM",
        load,
        contender,
        figure: 'allUs',
        sense: 'at most',
        limit: 1,
        over: { load, contender: SHADOWSOCKS },
      };
    }),
  ),
  fresh: false,
  notes: [
    `The target sends each datagram back; those that went and those that came back are counted alike in processor time, so a round trip costs twice what the table says. As fast as it goes: ${WINDOW} datagrams are under way, and one that is not back 0.3 s after the last one came is lost. A rate is kept whatever comes back, and what is not back 0.3 s after the last one is lost.`,
    'One association, one target, IPv4. shadowsocks seals with a shared password and each datagram by a key of its own; what goes in clear is not sealed and has no near end.',
  ],
};

function loadName(size: number, rate: number): string {
  return `${formatNumber(size, 0)} B, ${formatNumber(rate, 0)} a second`;
}

function withChaCha20(configuration: string): string {
  return `${configuration}socks:\n  udp:\n    suite: chacha20-poly1305\n`;
}

/** A node that takes conventional SOCKS5 from this machine, and no client before it. */
async function openInClear(site: Site): Promise<Tunnel> {
  const amend = (configuration: string) =>
    configuration
      .replace('authentication:\n', 'authentication:\n  methods: [none]\n')
      .concat('socks:\n  plainFrom: [127.0.0.0/8]\n');
  const cluster = await ArgyleCluster.open(site, { nodes: 1, client: false, amend });
  return {
    proxy: cluster.nodeEndpoint(0),
    near: [],
    far: cluster.nodes,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

async function measure(tunnel: Tunnel, site: Site, name: string): Promise<Sample> {
  const load = await runLoad('socksudp', {
    ...LOADS.get(name),
    proxy: tunnel.proxy,
    target: await site.destination('datagram echo'),
    secs: site.seconds,
    warm: site.warmSeconds,
    pids: pidsOf(tunnel),
  });
  const { sent = 0, duplicates = 0 } = load;
  const lostPercent = (100 * (sent - load.done)) / sent;
  const rates = { rate: load.done / load.secs, lostPercent, duplicates };
  const times = { p50Ms: load.p50_ms, p99Ms: load.p99_ms };
  if (tunnel.proxy === undefined) return { ...rates, ...times };
  const { near, far, others } = sides(tunnel, load.cpu_s);
  const each = (seconds: number) => (seconds * 1e6) / (sent + load.done);
  const [nearUs, farUs, othersUs] = [each(near), each(far), each(others)];
  return { ...rates, ...times, nearUs, farUs, othersUs, allUs: nearUs + farUs + othersUs };
}
