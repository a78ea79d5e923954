import type { Bar, Benchmark, Sample } from '../benchmark.ts';
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

const DOWN = 'down';
const UP = 'up';
const STREAMS = 4;

export const bulk: Benchmark = {
  name: 'bulk',
  question: 'What does a GB cost, through four streams at once, beside other tunnels?',
  loads: [DOWN, UP],
  contenders: [...tunnelContenders(measure), direct(measure)],
  columns: [
    { figure: 'megabytes', title: 'MB/s', digits: 0 },
    { figure: 'near', title: 'client CPU s/GB', digits: 2 },
    { figure: 'far', title: 'node CPU s/GB', digits: 2 },
    { figure: 'others', title: 'other nodes CPU s/GB', digits: 2 },
    { figure: 'all', title: 'client + nodes CPU s/GB', digits: 2 },
  ],
  baseline: { contender: STUNNEL, figures: [{ figure: 'all', title: 'client + nodes CPU' }] },
  bars: [DOWN, UP].flatMap((load) =>
    [THREE_NODES, ONE_NODE].map((contender): Bar => {
      return {
        text: 'at most 4 s of processor time a GB, client and nodes',
        load,
        contender,
        figure: 'all',
        sense: 'at most',
        limit: 4,
      };
    }),
  ),
  fresh: false,
  notes: ['A GB is 10^9 bytes. What arrives is compared with what was sent.'],
};

async function measure(tunnel: Tunnel, site: Site, direction: string): Promise<Sample> {
  const load = await runLoad('sockstcp', {
    mode: direction,
    proxy: tunnel.proxy,
    target: await site.destination(direction === DOWN ? 'source' : 'sink'),
    conc: STREAMS,
    secs: site.seconds,
    warm: site.warmSeconds,
    pids: pidsOf(tunnel),
  });
  const gigabytes = (load.bytes ?? 0) / 1e9;
  const megabytes = (gigabytes * 1e3) / load.secs;
  if (tunnel.proxy === undefined) return { megabytes };
  const { near, far, others } = sides(tunnel, load.cpu_s);
  const each = (seconds: number) => seconds / gigabytes;
  const all = each(near + far + others);
  return { megabytes, near: each(near), far: each(far), others: each(others), all };
}
