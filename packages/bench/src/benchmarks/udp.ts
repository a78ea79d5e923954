import type { Benchmark, Sample } from '../benchmark.ts';
import { formatNumber } from '../figures.ts';
import { dante } from '../peers/dante.ts';
import { shadowsocksWith } from '../peers/shadowsocks.ts';
import type { Site } from '../site.ts';
import { runLoad } from '../tools.ts';
import { direct, pidsOf, sides, tunnelContender, type Tunnel } from '../tunnel.ts';

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

const SHADOWSOCKS = 'shadowsocks-libev, AES-128-GCM';
const through = tunnelContender(measure);

export const udp: Benchmark = {
  name: 'udp',
  question:
    'What does a datagram cost, there and back through UDP ASSOCIATE, beside other relays and without one?',
  loads: [...LOADS.keys()],
  contenders: [
    through({ family: 'shadowsocks', name: SHADOWSOCKS, ...shadowsocksWith('aes-128-gcm') }),
    through({
      family: 'shadowsocks',
      name: 'shadowsocks-libev, ChaCha20-Poly1305',
      ...shadowsocksWith('chacha20-ietf-poly1305'),
    }),
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
  bars: [],
  fresh: false,
  notes: [
    `The target sends each datagram back; those that went and those that came back are counted alike in processor time, so a round trip costs twice what the table says. As fast as it goes: ${WINDOW} datagrams are under way, and one that is not back 0.3 s after the last one came is lost. A rate is kept whatever comes back, and what is not back 0.3 s after the last one is lost.`,
    'One association, one target, IPv4. shadowsocks seals with a shared password and each datagram by a key of its own; dante seals nothing and has no near end.',
  ],
};

function loadName(size: number, rate: number): string {
  return `${formatNumber(size, 0)} B, ${formatNumber(rate, 0)} a second`;
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
