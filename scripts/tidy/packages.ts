import { posix } from 'node:path';
import type { Finding, Rule } from './finding.ts';
import type { Import, Source } from './source.ts';

/** DESIGN's arrows: what a package's `src` may import of ours. Tests may import anything. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  host: [],
  cache: ['host'],
  multicast: ['host'],
  'secure-udp': ['host'],
  simulator: ['host'],
  replica: ['cache', 'multicast', 'host'],
  node: ['replica', 'secure-udp', 'cache', 'multicast', 'host'],
  client: ['secure-udp', 'host'],
  admin: [],
  cli: ['host', 'cache', 'multicast', 'secure-udp', 'replica', 'node', 'client', 'admin'],
  bench: [
    'host',
    'cache',
    'multicast',
    'secure-udp',
    'simulator',
    'replica',
    'node',
    'client',
    'admin',
    'cli',
  ],
};

/** Loaded by name while running, or only by the type checker. */
const LOADED_BY_NAME = /^(?:pino-pretty|@types\/node|node|prettier|tap|typescript)$/;

interface Manifest {
  readonly exports?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** What holds between files: arrows, dependencies, files that nobody imports, READMEs. */
export function checkPackages(
  sources: readonly Source[],
  texts: ReadonlyMap<string, string>,
): Finding[] {
  const folders = [...texts.keys()].flatMap(
    (path) => /^(.*)\/package\.json$/.exec(path)?.[1] ?? [],
  );
  return [
    ...sources.flatMap(arrows),
    ...folders.flatMap((folder) => checkPackage(folder, sources, texts)),
  ];
}

function packageOf(path: string): { name: string; part: string } | undefined {
  const match = /^packages\/([\w-]+)\/(\w+)\//.exec(path);
  return match ? { name: match[1]!, part: match[2]! } : undefined;
}

function arrows({ path, imports }: Source): Finding[] {
  const from = packageOf(path);
  if (!from) return [];
  const say = ({ line }: Import, rule: Rule, reason: string) => [{ path, line, rule, reason }];
  return imports.flatMap((each): Finding[] => {
    const { specifier } = each;
    if (specifier.startsWith('.')) {
      const to = posix.join(posix.dirname(path), specifier);
      const target = packageOf(to);
      if (from.part === 'src' && (target?.name !== from.name || target.part !== 'src')) {
        return say(each, 'arrow', `${specifier} leaves the package's src`);
      }
      if (target?.name !== from.name && /(?:^|\/)test\//.test(to)) {
        return say(each, 'arrow', `${specifier}: another's tests`);
      }
      return [];
    }
    const ours = /^@argyle\/([\w-]+)/.exec(specifier)?.[1];
    if (ours === undefined || from.part !== 'src') return [];
    if (ARROWS[from.name]?.includes(ours)) return [];
    return say(each, 'arrow', `${from.name} may not import ${ours}`);
  });
}

function checkPackage(
  folder: string,
  sources: readonly Source[],
  texts: ReadonlyMap<string, string>,
): Finding[] {
  const path = `${folder}/package.json`;
  const manifest = JSON.parse(texts.get(path)!) as Manifest;
  const own = sources.filter((source) => source.path.startsWith(`${folder}/`));
  const findings = dependencies(path, manifest, own);
  if (!folder.startsWith('packages/')) return findings;
  findings.push(...unreached(folder, manifest, own, texts));
  if (!texts.has(`${folder}/README.md`)) {
    findings.push({ path, line: 1, rule: 'readme', reason: 'the package has no README.md' });
  }
  if (!(folder.slice('packages/'.length) in ARROWS)) {
    findings.push({ path, line: 1, rule: 'arrow', reason: 'a package that no arrow names' });
  }
  return findings;
}

function dependencies(path: string, manifest: Manifest, own: readonly Source[]): Finding[] {
  const findings: Finding[] = [];
  const { dependencies: running = {}, devDependencies: developing = {} } = manifest;
  const used = new Set<string>();
  for (const source of own) {
    const inSrc = packageOf(source.path)?.part === 'src';
    for (const { specifier, line } of source.imports) {
      const name = /^(?:@[\w.-]+\/)?[\w.-]+/.exec(specifier)?.[0];
      if (name === undefined || specifier.startsWith('.') || specifier.startsWith('node:'))
        continue;
      used.add(inSrc ? name : `test ${name}`);
      if (name in running || (!inSrc && name in developing)) continue;
      const where = inSrc ? 'dependencies' : 'dependencies or devDependencies';
      const reason = `${name} is not among the ${where} of ${path}`;
      findings.push({ path: source.path, line, rule: 'dependency', reason });
    }
  }
  const onlyTests = !own.some((source) => packageOf(source.path)?.part === 'src');
  for (const [name, kind] of [
    ...Object.keys(running).map((name) => [name, 'running'] as const),
    ...Object.keys(developing).map((name) => [name, 'developing'] as const),
  ]) {
    const of = name.replace('@types/', '');
    const inTests = used.has(`test ${of}`) && (kind === 'developing' || onlyTests);
    if (used.has(of) || inTests || LOADED_BY_NAME.test(name)) continue;
    findings.push({ path, line: 1, rule: 'dependency', reason: `nothing imports ${name}` });
  }
  return findings;
}

/** Files of `src` that neither an export of the package nor a script leads to. */
function unreached(
  folder: string,
  manifest: Manifest,
  own: readonly Source[],
  texts: ReadonlyMap<string, string>,
): Finding[] {
  const byPath = new Map(own.map((source) => [source.path, source]));
  const scripts = [...texts].filter(([path]) => /^scripts\/\w+$/.test(path));
  const started = [...byPath.keys()].filter((path) =>
    scripts.some(([, text]) => text.includes(path)),
  );
  const exported = Object.values(manifest.exports ?? {}).map((entry) => posix.join(folder, entry));
  const waiting = [...exported, ...started];
  const reached = new Set<string>();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const { specifier } of byPath.get(path)?.imports ?? []) {
      if (!specifier.startsWith('.')) continue;
      waiting.push(posix.join(posix.dirname(path), specifier));
    }
  }
  return own
    .filter(({ path }) => path.startsWith(`${folder}/src/`) && !reached.has(path))
    .map(({ path }) => {
      const reason = 'no export of the package and no script leads here';
      return { path, line: 1, rule: 'unused' as const, reason };
    });
}
