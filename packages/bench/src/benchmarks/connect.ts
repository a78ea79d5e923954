import type { Benchmark, Bar, Sample } from '../benchmark.ts';
import type { Site } from '../site.ts';
import { runLoad } from '../tools.ts';
import {
  direct,
  ONE_NODE,
  pidsOf,
  sides,
  STUNNEL,
  THREE_NODES,
  tunnelContenders,
  type Tunnel,
} from '../tunnel.ts';

const MANY = '32 at a time';
const ONE = '1 at a time';
const CONCURRENCY: Readonly<Record<string, number>> = { [MANY]: 32, [ONE]: 1 };

export const connect: Benchmark = {
  name: 'connect',
  question:
    'What does a CONNECT cost, with one byte there and back, beside other tunnels and without one?',
  loads: [MANY, ONE],
  contenders: [...tunnelContenders(measure), direct(measure)],
  columns: [
    { figure: 'rate', title: 'a second', digits: 0 },
    { figure: 'p50Ms', title: 'p50 ms', digits: 2 },
    { figure: 'p99Ms', title: 'p99 ms', digits: 2 },
    { figure: 'nearUs', title: 'client CPU µs', digits: 0 },
    { figure: 'farUs', title: 'node CPU µs', digits: 0 },
    { figure: 'othersUs', title: 'other nodes CPU µs', digits: 0 },
    { figure: 'allUs', title: 'client + nodes CPU µs', digits: 0 },
  ],
  baseline: { contender: STUNNEL, figures: [{ figure: 'allUs', title: 'client + nodes CPU' }] },
  bars: [THREE_NODES, ONE_NODE].map((contender): Bar => {
    return {
      text: 'at most 1.2 ms of processor time a CONNECT, client and nodes',
      load: MANY,
      contender,
      figure: 'allUs',
      sense: 'at most',
      limit: 1_200,
    };
  }),
  fresh: false,
  notes: [
    'A CONNECT begins with a new TCP connection to the SOCKS port and ends when a byte has come back from the destination.',
    "Argyle's client carries tunnels side by side on at most 16 TLS connections that it keeps; stunnel makes a TLS handshake for each; shadowsocks seals with a shared password, without one; `ssh -D` opens channels in one connection.",
  ],
};

async function measure(tunnel: Tunnel, site: Site, name: string): Promise<Sample> {
  const load = await runLoad('sockstcp', {
    mode: 'rate',
    proxy: tunnel.proxy,
    target: await site.destination('echo'),
    conc: CONCURRENCY[name],
    secs: site.seconds,
    warm: site.warmSeconds,
    pids: pidsOf(tunnel),
  });
  const { near, far, others } = sides(tunnel, load.cpu_s);
  const each = (seconds: number) => (seconds * 1e6) / load.done;
  const rates = { rate: load.done / load.secs, p50Ms: load.p50_ms, p99Ms: load.p99_ms };
  if (tunnel.proxy === undefined) return rates;
  const [nearUs, farUs, othersUs] = [each(near), each(far), each(others)];
  return { ...rates, nearUs, farUs, othersUs, allUs: nearUs + farUs + othersUs };
}
