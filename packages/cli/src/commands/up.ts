import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { SystemHost } from '@argyle/host/system';
import type { Endpoint } from '@argyle/host';
import { formatEndpoint } from '../config/address.ts';
import { CliError } from '../exit-code.ts';
import { clientAddresses, nodeAddresses } from '../home-addresses.ts';
import { HOME_DEFAULT, Home, nodeName } from '../home.ts';
import { planHome, type PlanOptions } from '../local/plan.ts';
import { LocalProcess, type Started } from '../local/processes.ts';
import { awaitReadiness, type ReadinessAnswer } from '../local/readiness.ts';
import { HomeMaker } from '../make-home.ts';
import { table } from '../table.ts';

export interface UpOptions extends Omit<PlanOptions, 'nodes'> {
  readonly home: string;
}

const READY_WITHIN_MS = 30_000;
const STOPPED_WITHIN_MS = 20_000;
const TAIL_LINES = 15;
const REPOSITORY = resolve(import.meta.dirname, '../../../..');

export async function up(nodes: string | undefined, options: UpOptions): Promise<void> {
  const home = new Home(options.home);
  const plan = planHome(home, { ...options, nodes });
  const files = await new HomeMaker(new SystemHost(), home).make(plan);
  const made = files.filter((file) => file.made !== 'kept').length;
  say(made === 0 ? `${home.path} has all that is needed` : `${home.path}: ${made} files written`);

  const regrown = files.some(
    ({ path, made }) => path === home.config('client') && made === 'changed',
  );
  const members = await Promise.all(
    [...Array.from({ length: plan.nodes }, (_, index) => nodeName(index + 1)), 'client'].map(
      (name) => ensure(new LocalProcess(home, name), regrown && name === 'client'),
    ),
  );
  const admins = adminEndpoints(home);
  const over = () => members.some(({ started }) => started && ended(started) !== undefined);
  const answers = await Promise.all(
    members.map(({ process }) =>
      awaitReadiness(endpointOf(admins, process.name), { withinMs: READY_WITHIN_MS, over }),
    ),
  );
  const failures = members.flatMap((member, index) => failure(member, over(), answers[index]));
  if (failures.length > 0) throw new CliError('failed', failures.join('\n\n'));
  say(`\n${addresses(home, members)}\n\n${suggestions(home)}`);
}

interface Member {
  readonly process: LocalProcess;
  readonly started: Started | undefined;
}

/** `again`: its configuration changed, so one that runs is started anew. */
async function ensure(process: LocalProcess, again: boolean): Promise<Member> {
  const pid = process.pid();
  if (pid !== undefined && !again) {
    say(`${process.name} already runs (process ${pid})`);
    return { process, started: undefined };
  }
  if (pid !== undefined) await process.signal('SIGTERM', STOPPED_WITHIN_MS);
  const started = process.start();
  say(
    `${process.name} ${pid === undefined ? 'started' : 'started again'} (process ${started.child.pid})`,
  );
  return { process, started };
}

/** What to tell of one that ended; or, when none did, of one that is not ready. */
function failure(
  { process, started }: Member,
  someEnded: boolean,
  answer: ReadinessAnswer | undefined,
): readonly string[] {
  const end = started && ended(started);
  if (end === undefined && (someEnded || !answer || answer.ready)) return [];
  const state = end ?? `is not ready: ${answer && !answer.ready ? answer.reason : ''}`;
  const tail = process.tail(started?.logFrom ?? 0, TAIL_LINES);
  return [`${process.name} ${state}\nthe end of ${process.logFile}:\n${tail}`];
}

function ended({ child }: Started): string | undefined {
  if (child.signalCode !== null) return `was ended by ${child.signalCode}`;
  return child.exitCode === null ? undefined : `ended with exit code ${child.exitCode}`;
}

function endpointOf(endpoints: ReadonlyMap<string, Endpoint>, name: string): Endpoint {
  const endpoint = endpoints.get(name);
  assert(endpoint, 'what was started has a configuration');
  return endpoint;
}

function adminEndpoints(home: Home): ReadonlyMap<string, Endpoint> {
  const client = clientAddresses(home);
  const nodes = nodeAddresses(home).map(({ name, admin }) => [name, admin] as const);
  return new Map([...nodes, ...(client ? [['client', client.admin] as const] : [])]);
}

function addresses(home: Home, members: readonly Member[]): string {
  const client = clientAddresses(home);
  const nodes = new Map(nodeAddresses(home).map((node) => [node.name, node]));
  const rows = members.map(({ process }) => {
    const node = nodes.get(process.name);
    const listen = node
      ? `${formatEndpoint(node.listen)} (TLS)`
      : `${client ? formatEndpoint(client.listen) : ''} (SOCKS5)`;
    const admin = node?.admin ?? client?.admin;
    return [
      process.name,
      listen,
      admin ? `http://${formatEndpoint(admin)}` : '',
      node ? String(node.memberPort) : '',
      String(process.pid() ?? ''),
      process.logFile,
    ];
  });
  return table(['name', 'address', 'admin', 'group port', 'process', 'log'], rows);
}

function suggestions(home: Home): string {
  const client = clientAddresses(home);
  const proxy = client ? formatEndpoint(client.listen) : '';
  const elsewhere = home.path === resolve(REPOSITORY, HOME_DEFAULT);
  const prefix = elsewhere ? '' : `ARGYLE_HOME=${home.path} `;
  return [
    'Try:',
    `  curl --socks5-hostname ${proxy} https://example.com/`,
    `  ${prefix}scripts/kill 1`,
    `  ${prefix}scripts/argyle status`,
  ].join('\n');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
