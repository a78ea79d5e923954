import { argyle, ArgyleCluster } from '../argyle.ts';
import { BenchError } from '../bench-error.ts';
import type { Benchmark, Sample } from '../benchmark.ts';
import { bareTls } from '../peers/bare-tls.ts';
import { haproxy } from '../peers/haproxy.ts';
import { mapTls } from '../peers/map-tls.ts';
import { nginx } from '../peers/nginx.ts';
import type { Site } from '../site.ts';
import type { TlsServers } from '../tls-servers.ts';
import { runLoad, type Load } from '../tools.ts';

const FULL_13 = 'TLS 1.3, full';
const SAME_13 = 'TLS 1.3, resumed, same node';
const OTHER_13 = 'TLS 1.3, resumed, another node';
const FULL_12 = 'TLS 1.2, full';
const SAME_12 = 'TLS 1.2, resumed, same node';
const OTHER_12 = 'TLS 1.2, resumed, another node';

const ARGYLE = 'argyle, 3 nodes';
const BARE = 'node:tls';
const MAP = 'node:tls, Map';
const CONCURRENCY = 8;
const SESSIONS = 16;
const ALMOST = 0.99;
/** Nodes count sessions before a login by address: come from many. */
const SOURCES = 60_000;
/** All servers know it, and the tool's own library does: nobody needs a second hello. */
const GROUP = 'X25519';
const SERVER_NAME = 'argyle.cluster';

export const handshakes: Benchmark = {
  name: 'handshakes',
  question:
    'What does a full and a resumed handshake cost, at the node that made the session and at another one, beside node:tls, nginx and haproxy?',
  loads: [FULL_13, SAME_13, OTHER_13, FULL_12, SAME_12, OTHER_12],
  contenders: [
    argyle(ARGYLE, (site) => subject(site, openArgyle(site))),
    {
      family: 'node',
      name: BARE,
      needs: [],
      open: (site) => subject(site, bareTls.open(site)),
    },
    {
      family: 'node',
      name: MAP,
      needs: [],
      open: (site) => subject(site, mapTls.open(site)),
    },
    {
      family: 'nginx',
      name: 'nginx',
      needs: nginx.needs,
      open: (site) => subject(site, nginx.open(site)),
    },
    {
      family: 'haproxy',
      name: 'haproxy',
      needs: haproxy.needs,
      open: (site) => subject(site, haproxy.open(site)),
    },
  ],
  columns: [
    { figure: 'cpuUs', title: 'node CPU µs', digits: 0 },
    { figure: 'othersUs', title: 'other nodes CPU µs', digits: 0 },
    { figure: 'rate', title: 'a second', digits: 0 },
    { figure: 'p50Ms', title: 'p50 ms', digits: 2 },
    { figure: 'p99Ms', title: 'p99 ms', digits: 2 },
  ],
  baseline: { contender: BARE, figures: [{ figure: 'cpuUs', title: 'node CPU' }] },
  bars: [
    {
      text: 'a resumed TLS 1.3 handshake at another node costs the node at most 1.25 × what it costs node:tls at the same instance',
      load: OTHER_13,
      contender: ARGYLE,
      figure: 'cpuUs',
      sense: 'at most',
      limit: 1.25,
      over: { load: SAME_13, contender: BARE },
    },
  ],
  fresh: false,
  notes: [
    `RSA-2048 certificates, ${GROUP}, ${CONCURRENCY} connections at a time. A connection ends with the handshake, in TLS 1.3 when its ticket has come; times are up to there. node:tls and haproxy give no new ticket after a resumption: there it ends before.`,
    "`node:tls` has Argyle's TLS options and certificate on the same binary, and resumes by tickets of its own or of shared keys; nginx and haproxy share ticket keys. Argyle has no tickets: it writes each session to all nodes, which the column of the other nodes pays for.",
    '`node:tls, Map` is the floor of that: one process that reads the ClientHello, finds the session in a Map, and puts the new one there, for two ports. What it costs beside `node:tls` is the price of sessions in place of tickets; what Argyle costs beside it is the price of Argyle.',
  ],
};

async function subject(site: Site, opening: Promise<TlsServers>) {
  const servers = await opening;
  return {
    measure: (load: string) => measure(servers, site, load),
    [Symbol.asyncDispose]: () => servers[Symbol.asyncDispose](),
  };
}

async function measure(servers: TlsServers, site: Site, name: string): Promise<Sample> {
  const [first, second] = servers.endpoints;
  const resumed = name.includes('resumed');
  const at = name.includes('another') ? 1 : 0;
  const awaitsTicket = !resumed || servers.renews;
  const load = await runLoad('tlsrate', {
    to: first,
    then: at === 1 ? second : undefined,
    version: name.startsWith('TLS 1.2') ? '1.2' : '1.3',
    sessions: resumed ? SESSIONS : undefined,
    'no-ticket': !awaitsTicket || undefined,
    'session-ids': servers.sessionIds || undefined,
    conc: CONCURRENCY,
    secs: site.seconds,
    warm: site.warmSeconds,
    name: SERVER_NAME,
    alpn: servers.protocol,
    groups: GROUP,
    sources: SOURCES,
    pids: servers.processes.map(({ pid }) => pid).join(','),
  });
  demandWork(name, load, awaitsTicket);
  const each = (seconds: number) => (seconds * 1e6) / load.done;
  const own = load.cpu_s[Math.min(at, load.cpu_s.length - 1)] ?? 0;
  const all = load.cpu_s.reduce((sum, cpu) => sum + cpu, 0);
  return {
    cpuUs: each(own),
    othersUs: each(all - own),
    rate: load.done / load.secs,
    p50Ms: load.p50_ms,
    p99Ms: load.p99_ms,
  };
}

/** A handshake of another kind, or without the session it should end with, is other work. */
function demandWork(name: string, load: Load, wantsTicket: boolean): void {
  const { done, resumed = 0, without_ticket = 0 } = load;
  const asAsked = name.includes('resumed') ? resumed : done - resumed;
  const tickets = wantsTicket ? done - without_ticket : done;
  if (done > 0 && Math.min(asAsked, tickets) >= ALMOST * done) return;
  const found = `${done} handshakes, ${resumed} resumed, ${without_ticket} without a ticket`;
  throw new BenchError('run', `${name}: ${found}`);
}

async function openArgyle(site: Site): Promise<TlsServers> {
  const cluster = await ArgyleCluster.open(site, { nodes: 3, client: false });
  return {
    endpoints: [cluster.nodeEndpoint(0), cluster.nodeEndpoint(1)],
    processes: cluster.nodes,
    sessionIds: true,
    renews: true,
    protocol: 'argyle/1',
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}
