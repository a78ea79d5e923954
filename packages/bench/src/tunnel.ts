import { ArgyleCluster } from './argyle.ts';
import type { Contender, Need, Sample } from './benchmark.ts';
import { shadowsocksWith } from './peers/shadowsocks.ts';
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
  const through = tunnelContender(measure);
  const shadowsocks = shadowsocksWith('aes-128-gcm');
  return [
    through({
      family: 'argyle',
      name: THREE_NODES,
      open: (site) => openArgyle(site, { nodes: 3 }),
    }),
    through({ family: 'argyle', name: ONE_NODE, open: (site) => openArgyle(site, { nodes: 1 }) }),
    through({ family: 'stunnel', name: STUNNEL, ...stunnel }),
    through({ family: 'shadowsocks', name: 'shadowsocks-libev', ...shadowsocks }),
    through({ family: 'ssh', name: 'ssh -D', ...ssh }),
  ];
}

/** A contender whose subject is a tunnel. */
export function tunnelContender(measure: Measure) {
  return (options: {
    readonly family: string;
    readonly name: string;
    readonly needs?: readonly Need[];
    readonly open: (site: Site) => Promise<Tunnel>;
  }): Contender => ({
    family: options.family,
    name: options.name,
    needs: options.needs ?? [],
    async open(site) {
      const tunnel = await options.open(site);
      return {
        measure: (load) => measure(tunnel, site, load),
        [Symbol.asyncDispose]: () => tunnel[Symbol.asyncDispose](),
      };
    },
  });
}

/** The same load without any proxy. */
export function direct(measure: Measure): Contender {
  const none: Tunnel = {
    proxy: undefined,
    near: [],
    far: [],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const open = () => Promise.resolve(none);
  return tunnelContender(measure)({ family: 'direct', name: 'direct', open });
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

/** A client and so many nodes; `amend` may change what `argyle init` writes for a node. */
export async function openArgyle(
  site: Site,
  options: { readonly nodes: number; readonly amend?: (configuration: string) => string },
): Promise<Tunnel> {
  const cluster = await ArgyleCluster.open(site, { ...options, client: true });
  return {
    proxy: cluster.proxy,
    near: cluster.client ? [cluster.client] : [],
    far: cluster.nodes,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}
