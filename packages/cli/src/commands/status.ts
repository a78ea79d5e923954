import { formatEndpoint } from '../config/address.ts';
import { CliError } from '../exit-code.ts';
import { hearingTable } from '../hearing-table.ts';
import { clientAddresses, nodeAddresses } from '../home-addresses.ts';
import { Home, nodeName } from '../home.ts';
import { inspect, type ClientUdp, type Inspection } from '../inspection.ts';
import { table } from '../table.ts';

export interface StatusOptions {
  readonly home: string;
  readonly admin?: readonly string[];
  readonly json?: true;
}

/** One process to ask: what to call it, where it is, and where its clients find it if known. */
interface Subject {
  readonly name: string;
  readonly url: string;
  readonly listen: string | undefined;
}

type Finding = Inspection & Pick<Subject, 'listen'> & Facts;

interface Facts {
  readonly label: string;
  readonly inUse: boolean;
}

/** A digest's first digits tell two apart; `--json` has all of it. */
const DIGEST_SHOWN = 12;

export async function status(options: StatusOptions): Promise<void> {
  const subjects = options.admin
    ? options.admin.map(subjectAt)
    : subjectsOf(new Home(options.home));
  const inspections = await Promise.all(
    subjects.map(async (subject) => ({ subject, inspection: await inspect(subject.url) })),
  );
  const used = new Set(
    inspections.flatMap(({ inspection }) =>
      inspection.kind === 'client' ? [inspection.address] : [],
    ),
  );
  const findings = inspections.map(({ subject, inspection }) => ({
    ...inspection,
    listen: subject.listen,
    label: inspection.kind === 'node' ? inspection.name : subject.name,
    inUse: subject.listen !== undefined && used.has(subject.listen),
  }));
  const wrong = whatIsWrong(findings);
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ ok: wrong.length === 0, wrong, processes: findings })}\n`,
    );
  else process.stdout.write(`${shown(findings)}\n`);
  if (wrong.length > 0) throw new CliError('failed', wrong.join('; '));
}

function subjectAt(said: string): Subject {
  const url = URL.parse(said);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new CliError(
      'usage',
      `--admin: found "${said}", wanted http://127.0.0.1:12081 or the like`,
    );
  return { name: url.host, url: url.origin, listen: undefined };
}

function subjectsOf(home: Home): readonly Subject[] {
  const client = clientAddresses(home);
  const nodes = nodeAddresses(home).map(({ name, admin, listen }) => ({
    name,
    url: `http://${formatEndpoint(admin)}`,
    listen: formatEndpoint(listen),
  }));
  if (nodes.length === 0)
    throw new CliError(
      'missing',
      `${home.path} has no ${nodeName(1)}.yaml: \`argyle init\` makes it`,
    );
  if (!client) return nodes;
  const url = `http://${formatEndpoint(client.admin)}`;
  return [...nodes, { name: 'client', url, listen: undefined }];
}

function whatIsWrong(findings: readonly Finding[]): readonly string[] {
  const wrong = findings.flatMap((finding) => {
    if (finding.kind === 'silent') return [`${finding.label}: ${finding.reason} at ${finding.url}`];
    return finding.ready ? [] : [`${finding.label} is not ready: ${finding.reason}`];
  });
  const digests = new Set(findings.flatMap((one) => (one.kind === 'node' ? [one.digest] : [])));
  return digests.size > 1 ? [...wrong, 'the digests differ'] : wrong;
}

function shown(findings: readonly Finding[]): string {
  const rows = findings.map((finding) => {
    if (finding.kind === 'silent') return [finding.label, finding.reason];
    const state = finding.ready ? 'ready' : 'not ready';
    if (finding.kind === 'client') return [finding.label, state];
    const { label, members, records, lag, digest, inUse } = finding;
    const numbers = [members, records, lag].map(String);
    return [label, state, ...numbers, digest.slice(0, DIGEST_SHOWN), inUse ? 'in use' : ''];
  });
  const head = ['name', 'state', 'members', 'records', 'lag', 'digest', 'client'];
  const reasons = findings.flatMap((finding) => {
    if (finding.kind === 'silent' || finding.reason !== '') return [];
    if (finding.kind !== 'client') return [];
    return [`${finding.label} uses ${finding.node}: ${finding.why}`];
  });
  const datagrams = findings.flatMap((finding) =>
    finding.kind === 'client' ? told(finding.label, finding.udp, findings) : [],
  );
  const hearing = hearingTable(findings.filter((finding) => finding.kind === 'node'));
  const heard = hearing === '' ? [] : [hearing];
  return [table(head, rows), ...heard, ...reasons, ...datagrams, ...elsewhere(findings)].join('\n');
}

/** Which ways a client's associations of UDP go; nothing of a client that has none. */
function told(
  client: string,
  { associations, overTls, blocked, nodes }: ClientUdp,
  findings: readonly Finding[],
): readonly string[] {
  const named = ({ address, used, standby }: ClientUdp['nodes'][number]) => {
    const name = findings.find(({ listen }) => listen === address)?.label ?? address;
    return `${used} at ${name}${standby > 0 ? ` (standby for ${standby})` : ''}`;
  };
  const ways = nodes.map(named);
  if (overTls > 0) ways.push(`${overTls} over TLS`);
  const are = associations === 1 ? 'association' : 'associations';
  return [
    ...(associations > 0
      ? [`${client} has ${associations} ${are} of UDP: ${ways.join(', ')}`]
      : []),
    ...(blocked ? [`${client}: no node answers over UDP`] : []),
  ];
}

/** Where clients look for nodes, as far as that is not in the rows above. */
function elsewhere(findings: readonly Finding[]): readonly string[] {
  const shown = new Set(findings.map(({ listen }) => listen));
  return findings.flatMap((finding) => {
    if (finding.kind !== 'client') return [];
    const others = finding.nodes.filter(({ address }) => !shown.has(address));
    if (others.length === 0) return [];
    const rows = others.map(({ endpoint, state, delayMs, inUse }) => {
      const delay = delayMs === null ? '' : `${delayMs.toFixed(1)} ms`;
      return [endpoint, state, delay, inUse && state !== 'failed' ? 'in use' : ''];
    });
    return [table([`nodes of ${finding.label}`, 'state', 'delay', ''], rows)];
  });
}
