import { CLIENT, nameOf, type Kill, type SoakCluster } from './soak-cluster.ts';
import { PROCESSES, quantile, type Figures, type FigureName } from './soak-figures.ts';
import type { LoadTotals, VisitFailure } from './soak-load.ts';

export interface SoakRun {
  readonly cluster: SoakCluster;
  readonly figures: Figures;
  readonly kills: readonly Kill[];
  readonly failures: readonly VisitFailure[];
  readonly totals: LoadTotals;
  /** Of the load, without the night. */
  readonly between: { readonly fromMs: number; readonly toMs: number };
}

/**
 * It was under way when its node was killed. Through the client that may have been either node;
 * who began when the process was gone, and its sockets with it, has no such excuse.
 */
export function inFlight(failure: VisitFailure, kills: readonly Kill[]): boolean {
  return kills.some(({ name, sentMs, goneMs }) => {
    const concerned = failure.where === name || failure.where === nameOf(CLIENT);
    return concerned && failure.beganMs <= goneMs && failure.endedMs >= sentMs;
  });
}

/** What the run was and what it found, as lines of tables. */
export async function report(run: SoakRun): Promise<readonly string[]> {
  return [...work(run), ...(await ways(run)), '', ...memory(run), '', ...counts(run), ...logs(run)];
}

function work({ totals, kills, failures, between }: SoakRun): string[] {
  const seconds = (between.toMs - between.fromMs) / 1_000;
  const visits = Object.entries(totals.visits).toSorted();
  const sum = visits.reduce((all, [, count]) => all + count, 0);
  const widths = kills.map(({ sentMs, goneMs }) => goneMs - sentMs);
  const excused = failures.filter((failure) => inFlight(failure, kills));
  const unanswered = excused.filter(({ opened }) => !opened).length;
  const opened = [0.5, 0.99, 0.999, 1].map((share) => quantile(totals.openedMs, share).toFixed(1));
  return [
    `${Math.round(seconds)} s: ${sum} visits, ${(sum / seconds).toFixed(1)} a second`,
    visits.map(([label, count]) => `${label} ${count}`).join(', '),
    `${kills.length} kills, each over within ${Math.max(...widths).toFixed(1)} ms; ` +
      `${excused.length} visits were in flight at one, ${unanswered} of them not yet answered`,
    `${failures.length - excused.length} other visits failed`,
    `a tunnel through the client was open after ms: median ${opened[0]}, p99 ${opened[1]}, ` +
      `p999 ${opened[2]}, last ${opened[3]}`,
    `handshakes of visitors: ${totals.handshakes.resumed} resumed, ${totals.handshakes.full} full`,
  ];
}

async function ways({ cluster, figures, totals, between }: SoakRun): Promise<string[]> {
  const metrics = await cluster.metrics(CLIENT);
  const sum = (prefix: string, label = '') =>
    [...metrics]
      .filter(([name]) => name.startsWith(prefix) && name.includes(label))
      .reduce((all, [, value]) => all + value, 0);
  const handshakes = 'client_handshakes_total';
  const cpu = PROCESSES.map((index) => {
    const [first = 0, ...others] = figures.of(index, 'cpu');
    const spent = [...others].reduce(
      ({ last, all }, now) => ({ last: now, all: all + (now < last ? now : now - last) }),
      { last: first, all: 0 },
    ).all;
    return `${nameOf(index)} ${share(spent, between)}`;
  });
  return [
    `the client: ${sum('client_failovers_total')} moves to another node, ` +
      `${sum('client_retries_total')} retries, ${sum('client_hedges_total')} hedges; handshakes: ` +
      `${sum(handshakes, 'resumed="true"')} resumed, ${sum(handshakes, 'resumed="false"')} full`,
    `of one core: ${cpu.join(', ')}, the load ${share(totals.cpuSeconds, between)}`,
  ];
}

function share(seconds: number, { fromMs, toMs }: SoakRun['between']): string {
  return `${Math.round((100_000 * seconds) / (toMs - fromMs))} %`;
}

const MEGABYTE = 1024 * 1024;
const MEMORY: readonly FigureName[] = ['rss', 'heap', 'external', 'cacheBytes'];

/** Medians of the run's second and last quarter, and what a visit left behind between them. */
function memory({ figures, totals, between }: SoakRun): string[] {
  const visits = Object.values(totals.visits).reduce((all, count) => all + count, 0);
  const rows = PROCESSES.flatMap((index) =>
    MEMORY.map((name) => {
      const { second, last } = figures.quarters(index, name, between);
      const most = Math.max(...figures.of(index, name));
      const sizes = [second, last, most].map((bytes) => (bytes / MEGABYTE).toFixed(1));
      // The medians are half the run apart.
      const left = ((last - second) / (visits / 2)).toFixed(0);
      return [nameOf(index), name, ...sizes, left];
    }),
  );
  const head = ['process', 'memory, MB', 'second quarter', 'last quarter', 'most', 'B a visit'];
  return table([head, ...rows]);
}

const COUNTS: readonly FigureName[] = [
  'descriptors',
  'timers',
  'handles',
  'tunnels',
  'connections',
  'records',
  'tombstones',
];

function counts({ figures, between }: SoakRun): string[] {
  const rows = COUNTS.map((name) => [
    name,
    ...PROCESSES.map((index) => {
      const { second, last } = figures.quarters(index, name, between);
      return `${second} ${last} ${Math.max(...figures.of(index, name))}`;
    }),
  ]);
  return table([['second, last, most', ...PROCESSES.map(nameOf)], ...rows]);
}

function logs({ cluster }: SoakRun): string[] {
  return PROCESSES.flatMap((index) =>
    [...cluster.complaints(index)].map(
      ([what, count]) => `${nameOf(index)} said ${count} times: ${what}`,
    ),
  );
}

/** Columns of text, the first to the left and the others to the right. */
function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const texts = rows.map((row) => row.map(String));
  const widths = texts[0]!.map((_, at) => Math.max(...texts.map((row) => row[at]!.length)));
  return texts.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
      .join('  '),
  );
}
