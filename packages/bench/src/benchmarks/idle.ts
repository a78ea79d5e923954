import type { Bar, Benchmark, Sample } from '../benchmark.ts';
import { formatNumber } from '../figures.ts';
import type { Site } from '../site.ts';
import { runLoad } from '../tools.ts';
import {
  ONE_NODE,
  pidsOf,
  sides,
  STUNNEL,
  THREE_NODES,
  tunnelContenders,
  type Tunnel,
} from '../tunnel.ts';

const TUNNELS = 2_000;
const TUNNELS_SMALL = 100;
const IDLE = 'idle tunnels';
/** As many CONNECTs at once while they are opened. */
const AT_ONCE = 32;
/** What is left of opening them is collected meanwhile. */
const SETTLE_S = 4;
const SETTLE_SMALL_S = 0.5;

export const idle: Benchmark = {
  name: 'idle',
  question: 'How much memory does a tunnel hold that does nothing, beside other tunnels?',
  loads: [IDLE],
  contenders: tunnelContenders(measure),
  columns: [
    { figure: 'near', title: 'client kB', digits: 1 },
    { figure: 'far', title: 'node kB', digits: 1 },
    { figure: 'others', title: 'other nodes kB', digits: 1 },
    { figure: 'all', title: 'client + nodes kB', digits: 1 },
    { figure: 'rss', title: 'client + nodes RSS kB', digits: 1 },
    { figure: 'openSeconds', title: 'opened in s', digits: 2 },
  ],
  baseline: { contender: STUNNEL, figures: [{ figure: 'all', title: 'client + nodes' }] },
  bars: [THREE_NODES, ONE_NODE].map((contender): Bar => {
    return {
      text: 'at most 100 kB an idle tunnel, client and nodes',
      load: IDLE,
      contender,
      figure: 'all',
      sense: 'at most',
      limit: 100,
    };
  }),
  fresh: true,
  notes: [
    `${formatNumber(TUNNELS, 0)} tunnels. Proportional set size (PSS) of the processes, ${SETTLE_S} s after the last of the tunnels was open, less that before the first, divided by the tunnels. Buffers of the kernel are not in it. Every run is of processes just started, so what they grow by with their first work is in it.`,
  ],
};

async function measure(tunnel: Tunnel, site: Site): Promise<Sample> {
  const count = site.small ? TUNNELS_SMALL : TUNNELS;
  const load = await runLoad('sockstcp', {
    mode: 'hold',
    proxy: tunnel.proxy,
    target: await site.destination('echo'),
    conc: AT_ONCE,
    count,
    settle: site.small ? SETTLE_SMALL_S : SETTLE_S,
    pids: pidsOf(tunnel),
  });
  const { near, far, others } = sides(tunnel, load.pss_kb);
  const resident = sides(tunnel, load.rss_kb);
  return {
    near: near / count,
    far: far / count,
    others: others / count,
    all: (near + far + others) / count,
    rss: (resident.near + resident.far + resident.others) / count,
    openSeconds: load.secs,
  };
}
