import { ArgyleCluster } from './argyle.ts';
import type { Contender, Need, Sample } from './benchmark.ts';
import { shadowsocks } from './peers/shadowsocks.ts';
import { ssh } from './peers/ssh.ts';
import { stunnel } from './peers/stunnel.ts';
import type { RunningProcess } from './processes.ts';
import type { Site } from './site.ts';
import type { Load } from './tools.ts';

/** A way to a destination: a SOCKS5 port and the processes behind it. */
export interface Tunnel extends AsyncDisposable {
  /** Undefined: straight there. */
  readonly proxy: string | undefined;
  /** Where applications come in. */
  readonly near: readonly RunningProcess[];
  /** Where destinations are dialled. */
  readonly far: readonly RunningProcess[];
}

type Measure = (tunnel: Tunnel, site: Site, load: string) => Promise<Sample>;

export const THREE_NODES = 'argyle, 3 nodes';
export const ONE_NODE = 'argyle, 1 node';
export const STUNNEL = 'stunnel + microsocks';

/** All that carry TCP from here to there, sealed in between. */
export function tunnelContenders(measure: Measure): readonly Contender[] {
  const contender = (
    family: string,
    name: string,
    open: (site: Site) => Promise<Tunnel>,
    needs: readonly Need[] = [],
  ): Contender => ({
    family,
    name,
    needs,
    async open(site) {
      const tunnel = await open(site);
      return {
        measure: (load) => measure(tunnel, site, load),
        [Symbol.asyncDispose]: () => tunnel[Symbol.asyncDispose](),
      };
    },
  });
  return [
    contender('argyle', THREE_NODES, (site) => openArgyle(site, 3)),
    contender('argyle', ONE_NODE, (site) => openArgyle(site, 1)),
    contender('stunnel', STUNNEL, stunnel.open, stunnel.needs),
    contender('shadowsocks', 'shadowsocks-libev', shadowsocks.open, shadowsocks.needs),
    contender('ssh', 'ssh -D', ssh.open, ssh.needs),
  ];
}

/** The same load without any proxy. */
export function direct(measure: Measure): Contender {
  const tunnel: Tunnel = {
    proxy: undefined,
    near: [],
    far: [],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return {
    family: 'direct',
    name: 'direct',
    needs: [],
    open: (site) =>
      Promise.resolve({
        measure: (load) => measure(tunnel, site, load),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
}

export function pidsOf({ near, far }: Tunnel): string | undefined {
  const pids = [...near, ...far].map(({ pid }) => pid);
  return pids.length === 0 ? undefined : pids.join(',');
}

/**
 * The tool's entries for processes, added up for either side. `others`: all nodes but the one with
 * the most.
 */
export function sides(
  { near, far }: Tunnel,
  entries: Load['cpu_s'],
): { readonly near: number; readonly far: number; readonly others: number } {
  const sum = (some: readonly number[]) => some.reduce((all, each) => all + each, 0);
  const farEntries = entries.slice(near.length, near.length + far.length);
  const most = far.some(({ name }) => name.startsWith('node-'))
    ? Math.max(...farEntries)
    : sum(farEntries);
  return { near: sum(entries.slice(0, near.length)), far: most, others: sum(farEntries) - most };
}

async function openArgyle(site: Site, nodes: number): Promise<Tunnel> {
  const cluster = await ArgyleCluster.open(site, { nodes, client: true });
  return {
    proxy: cluster.proxy,
    near: cluster.client ? [cluster.client] : [],
    far: cluster.nodes,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}
