import assert from 'node:assert/strict';
import { SystemHost } from '@argyle/host/system';
import { CLUSTER_KEY_BYTES, keyId } from '@argyle/multicast';
import { formatEndpoint } from '../config/address.ts';
import { type DatedRing, encodeKeyRing, KEY_WANTED, readKeyRing } from '../config/key-ring.ts';
import { ConfigError } from '../config/problem.ts';
import { CliError } from '../exit-code.ts';
import { nodeAddresses } from '../home-addresses.ts';
import { Home } from '../home.ts';
import { checkStep, nextStep, type Step, stepped, toldStep } from '../key-steps.ts';
import { awaitTaken, survey, unready } from '../key-survey.ts';
import { exclusively, writePrivate } from '../private-file.ts';
import { table } from '../table.ts';

export interface KeysOptions {
  readonly home: string;
  readonly keys?: string;
  readonly admin?: readonly string[];
}

export interface RotateOptions extends KeysOptions {
  readonly step?: Step;
  readonly force?: true;
}

/** Ids and ages, and what the nodes say of their rings. */
export async function list(options: KeysOptions): Promise<void> {
  const { keys, madeAtMs } = read(keysFile(options));
  const now = wallMs();
  const rows = keys.map((key, place) => [
    keyId(key),
    place === 0 ? 'seals' : 'opens',
    age(now - (madeAtMs[place] ?? now)),
  ]);
  say(table(['key', '', 'age'], rows));
  const { rings, silent } = await survey(adminUrls(options));
  const nodes = [...rings].map(([name, [seals = '', ...open]]) => [name, seals, open.join(', ')]);
  if (nodes.length > 0) say(`\n${table(['node', 'seals with', 'opens too'], nodes)}`);
  for (const sentence of silent) say(sentence);
}

/**
 * Takes the next step, or, where nodes can be asked, one after another as soon as all have taken
 * the one before. A step that would cut a member off is not taken.
 */
export async function rotate(options: RotateOptions): Promise<void> {
  const file = keysFile(options);
  const urls = adminUrls(options);
  for (;;) {
    const { step, ring } = await exclusively(file, () => take(file, urls, options));
    if (urls.length === 0) return say(unasked(file, ring));
    const { late, silent } = await awaitTaken(urls, ring.keys.map(keyId));
    for (const sentence of silent) say(sentence);
    if (late.length > 0) {
      throw new CliError('failed', `${late.join('; ')}: give it ${file} and run this again`);
    }
    if (options.step || step === 'remove') return;
  }
}

async function take(
  file: string,
  urls: readonly string[],
  options: RotateOptions,
): Promise<{ readonly step: Step; readonly ring: DatedRing }> {
  const before = read(file);
  const step = checkStep(options.step, before);
  const host = new SystemHost();
  const after = stepped(before, () => host.random(CLUSTER_KEY_BYTES), wallMs());
  if (step !== 'add') await check(step, newestId(before), urls, options);
  writePrivate(file, encodeKeyRing(after));
  say(`${file}: ${toldStep(before, after)}`);
  return { step, ring: after };
}

/** Throws a CliError when somebody is not ready for the step, or cannot be asked. */
async function check(
  step: Step,
  newest: string,
  urls: readonly string[],
  { force }: RotateOptions,
): Promise<void> {
  const found = await survey(urls);
  const late = unready(step, newest, found);
  if (late.length > 0) throw new CliError('failed', `no step "${step}": ${late.join('; ')}`);
  if (found.silent.length === 0 || force) return;
  const silent = found.silent.join('; ');
  throw new CliError('failed', `no step "${step}": ${silent}; --force goes on without it`);
}

function unasked(file: string, ring: DatedRing): string {
  const seals = keyId(ring.keys[0]!);
  const wanted =
    nextStep(ring) === 'promote'
      ? `argyle_group_key{key="${newestId(ring)}"} at every node`
      : `argyle_group_key{key="${seals}",seals="yes"} at every node`;
  return `No node was asked. Give them ${file}; before the next step look for ${wanted}.`;
}

function newestId({ keys, madeAtMs }: DatedRing): string {
  const newest = keys[madeAtMs.indexOf(Math.max(...madeAtMs))];
  assert(newest, 'a ring has a key');
  return keyId(newest);
}

/** Throws a ConfigError when it holds no ring. */
function read(file: string): DatedRing {
  const found = readKeyRing(file);
  if ('ring' in found) return found.ring;
  throw new ConfigError([
    { file, line: undefined, key: '', found: found.found, wanted: KEY_WANTED },
  ]);
}

function keysFile(options: KeysOptions): string {
  return options.keys ?? new Home(options.home).clusterKey;
}

function adminUrls({ admin, home }: KeysOptions): readonly string[] {
  if (!admin)
    return nodeAddresses(new Home(home)).map(({ admin }) => `http://${formatEndpoint(admin)}`);
  return admin.map((said) => {
    const url = URL.parse(said);
    if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.origin;
    throw new CliError(
      'usage',
      `--admin: found "${said}", wanted http://127.0.0.1:12081 or the like`,
    );
  });
}

const MINUTE_MS = 60_000;
const UNITS = [
  [24 * 60 * MINUTE_MS, 'd'],
  [60 * MINUTE_MS, 'h'],
  [MINUTE_MS, 'min'],
] as const;

/** In the largest unit of which there are two, so that it says enough. */
function age(ms: number): string {
  const [unitMs, unit] = UNITS.find(([unitMs]) => ms >= 2 * unitMs) ?? [1_000, 's'];
  return `${Math.max(0, Math.floor(ms / unitMs))} ${unit}`;
}

function wallMs(): number {
  const host = new SystemHost();
  return host.now() + host.wallOffset();
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
