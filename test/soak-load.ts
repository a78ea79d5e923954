import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { createSecureContext, type SecureVersion } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '@argyle/simulator';
import { serveDestination, visit, type Deed, type Way } from './soak-visit.ts';
import { ApplicationWay, VisitorWay } from './soak-ways.ts';

/** What the load is told, as its only argument. */
export interface LoadPlan {
  readonly seed: number;
  readonly clientPort: number;
  /** Behind the client. */
  readonly applications: number;
  /** Conventional clients, at nodes. */
  readonly visitors: number;
  /** Between two visits of one of them, on average. */
  readonly thinkMs: number;
  readonly idleMs: { readonly least: number; readonly most: number };
  readonly nodes: readonly { readonly name: string; readonly port: number }[];
  readonly user: { readonly name: string; readonly password: string };
  /** Where nobody listens, out of the range that systems choose outgoing ports from. */
  readonly nobodyPort: number;
  readonly ca: string;
  readonly certificate: { readonly cert: string; readonly key: string };
}

export type LoadOrder = 'pause' | 'resume' | 'stop';

export type LoadReport =
  | { readonly kind: 'ready' }
  /** Nobody is on a visit. */
  | { readonly kind: 'quiet' }
  | { readonly kind: 'failure'; readonly failure: VisitFailure }
  | { readonly kind: 'totals'; readonly totals: LoadTotals };

/** Times are those of the machine's monotonic clock, as `clockMs` reads it in every process. */
export interface VisitFailure {
  /** `client`, or a node's name. */
  readonly where: string;
  readonly deed: string;
  readonly beganMs: number;
  readonly endedMs: number;
  /** Its tunnel was open. */
  readonly opened: boolean;
  readonly why: string;
}

export interface LoadTotals {
  /** Visits that went as asked, by who and what. */
  readonly visits: Readonly<Record<string, number>>;
  readonly handshakes: { readonly resumed: number; readonly full: number };
  /** Of applications, until their tunnel was open, in ascending order. */
  readonly openedMs: readonly number[];
  readonly cpuSeconds: number;
}

export function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const FETCH_BYTES = { least: 1_024, most: 512 * 1_024 };
const CUT_BYTES = 1024 * 1024;
/** After a pause not everybody comes back at the same moment. */
const RETURN_MS = 3_000;
/** RFC 1928 §3. */
const METHOD = { none: 0, password: 2 } as const;

/** Everybody at once, until told to stop. */
class Load {
  readonly #plan: LoadPlan;
  readonly #random: Random;
  readonly #visits: Record<string, number> = {};
  readonly #handshakes = { resumed: 0, full: 0 };
  readonly #openedMs: number[] = [];
  /** Ends the waits of those who idle. */
  readonly #wake = new Set<() => void>();
  #port = 0;
  #visiting = 0;
  #paused = false;
  #resumed = Promise.withResolvers<void>();

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    this.#random = new Random(plan.seed);
  }

  async start(): Promise<void> {
    const destination = await listen();
    this.#port = portOf(destination);
    destination.on('connection', serveDestination);
    const { applications, visitors, clientPort } = this.#plan;
    for (let index = 0; index < applications; index += 1) {
      void this.#live('application', new ApplicationWay(clientPort));
    }
    for (let index = 0; index < visitors; index += 1) {
      void this.#live('visitor', this.#visitor(index));
    }
  }

  pause(): void {
    this.#paused = true;
    this.#resumed = Promise.withResolvers();
    for (const wake of this.#wake) wake();
    this.#tellIfQuiet();
  }

  resume(): void {
    this.#paused = false;
    this.#resumed.resolve();
  }

  totals(): LoadTotals {
    const { user, system } = process.cpuUsage();
    return {
      visits: this.#visits,
      handshakes: this.#handshakes,
      openedMs: this.#openedMs.toSorted((left, right) => left - right),
      cpuSeconds: (user + system) / 1e6,
    };
  }

  async #live(who: string, way: Way): Promise<void> {
    const random = this.#random.fork();
    await sleep(random.uniform() * this.#plan.thinkMs);
    for (;;) {
      while (this.#paused) {
        await this.#resumed.promise;
        await sleep(random.uniform() * RETURN_MS);
      }
      await this.#visit(who, way, this.#deed(random));
      await sleep(random.exponential(this.#plan.thinkMs));
    }
  }

  async #visit(who: string, way: Way, deed: Deed): Promise<void> {
    const beganMs = clockMs();
    let where = '';
    let opened = false;
    this.#visiting += 1;
    try {
      await visit(way, deed, this.#port, {
        reached: (name) => (where = name),
        opened: () => {
          opened = true;
          if (who === 'application') this.#openedMs.push(clockMs() - beganMs);
        },
      });
      const label = `${who} ${deed.kind}`;
      this.#visits[label] = (this.#visits[label] ?? 0) + 1;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const failure = {
        where,
        deed: `${who} ${deed.kind}`,
        beganMs,
        endedMs: clockMs(),
        opened,
        why,
      };
      report({ kind: 'failure', failure });
    } finally {
      this.#visiting -= 1;
      this.#tellIfQuiet();
    }
  }

  /** A day at an office: more touching than fetching, some that stay, some that break off. */
  #deed(random: Random): Deed {
    const draw = random.below(100);
    if (draw < 40) return { kind: 'touch' };
    if (draw < 75) {
      const { least, most } = FETCH_BYTES;
      return { kind: 'fetch', sizeBytes: Math.round(least * (most / least) ** random.uniform()) };
    }
    if (draw < 92) {
      const { least, most } = this.#plan.idleMs;
      const forMs = least + random.below(most - least);
      return { kind: 'idle', wait: () => this.#idle(forMs) };
    }
    if (draw < 97) return { kind: 'cut', sizeBytes: CUT_BYTES };
    return { kind: 'nobody', port: this.#plan.nobodyPort };
  }

  #idle(forMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#paused ? 0 : forMs);
    this.#wake.add(resolve);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#wake.delete(resolve);
    });
  }

  #tellIfQuiet(): void {
    if (this.#paused && this.#visiting === 0) report({ kind: 'quiet' });
  }

  /** Half of them prefer the first node, which is the one that lives all along. */
  #visitor(index: number): VisitorWay {
    const { nodes, user } = this.#plan;
    const kind = VISITORS[index % VISITORS.length]!;
    const first = this.#random.chance(0.5) ? 0 : this.#random.below(nodes.length);
    const preferred = [...nodes.slice(first), ...nodes.slice(0, first)];
    const secured = (resumed: boolean) => {
      this.#handshakes[resumed ? 'resumed' : 'full'] += 1;
    };
    return new VisitorWay({ ...kind(this.#plan), user, nodes: preferred, secured });
  }
}

function secure(plan: LoadPlan, version: SecureVersion, certificate = {}) {
  return createSecureContext({ ca: plan.ca, maxVersion: version, ...certificate });
}

/** Nobody in particular, by password, and by certificate, in both versions of TLS. */
const VISITORS = [
  (plan: LoadPlan) => ({ secureContext: secure(plan, 'TLSv1.3'), method: METHOD.none }),
  (plan: LoadPlan) => ({ secureContext: secure(plan, 'TLSv1.3'), method: METHOD.password }),
  (plan: LoadPlan) => ({ secureContext: secure(plan, 'TLSv1.2'), method: METHOD.password }),
  (plan: LoadPlan) => ({
    secureContext: secure(plan, 'TLSv1.3', plan.certificate),
    method: METHOD.none,
  }),
  (plan: LoadPlan) => ({
    secureContext: secure(plan, 'TLSv1.2', plan.certificate),
    method: METHOD.none,
  }),
];

async function listen(): Promise<Server> {
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function report(what: LoadReport): void {
  process.send?.(what);
}

async function main(): Promise<void> {
  const load = new Load(JSON.parse(process.argv[2] ?? '') as LoadPlan);
  process.on('message', (order: LoadOrder) => {
    if (order === 'pause') load.pause();
    else if (order === 'resume') load.resume();
    else process.send?.({ kind: 'totals', totals: load.totals() }, () => process.exit());
  });
  // Whoever started it has gone.
  process.on('disconnect', () => process.exit());
  await load.start();
  report({ kind: 'ready' });
}

if (import.meta.main) await main();
