import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Finding, Rule } from './tidy/finding.ts';
import { checkPackages } from './tidy/packages.ts';
import { checkSource, checkWords } from './tidy/rules.ts';
import { Source } from './tidy/source.ts';

/** What stands outside a rule, and why it may. One that is no longer needed is a finding itself. */
const EXCEPTIONS: readonly { path: string; rule: Rule; reason: string }[] = [
  {
    path: 'scripts/test.ts',
    rule: 'word',
    reason: 'it reads the directives of TAP, which are spelled so',
  },
];

const ROOT = join(import.meta.dirname, '..');

/**
 * The tidy check: types, format, and the habits that make this one house. Prints each finding as
 * `path:line: reason`; exit code 1 if there is one.
 */
if (import.meta.main) {
  const findings = [...typeErrors(), ...formatErrors(), ...checkTree(readTree())];
  for (const { path, line, reason } of findings) console.log(`${path}:${line}: ${reason}`);
  if (findings.length > 0) process.exitCode = 1;
}

/** All that needs no tool, over files by their path from the root. */
export function checkTree(texts: ReadonlyMap<string, string>): Finding[] {
  const sources = [...texts]
    .filter(([path]) => path.endsWith('.ts'))
    .map(([path, text]) => new Source({ path, text }));
  const findings = [
    ...sources.flatMap(checkSource),
    ...[...texts].flatMap(([path, text]) => checkWords(path, text)),
    ...checkPackages(sources, texts),
  ];
  const excepted = (finding: Finding) =>
    EXCEPTIONS.find(({ path, rule }) => path === finding.path && rule === finding.rule);
  const needed = new Set(findings.map(excepted));
  const needless = EXCEPTIONS.filter((each) => texts.has(each.path) && !needed.has(each));
  return [
    ...findings.filter((finding) => !excepted(finding)),
    ...needless.map(({ path, rule }) => {
      return { path, line: 1, rule, reason: `needs no exception from '${rule}' any more` };
    }),
  ];
}

/** Files that git tracks or would; without those that are not text. */
function readTree(): Map<string, string> {
  const listed = run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  const texts = new Map<string, string>();
  for (const path of listed.output.split('\0')) {
    if (path === '' || !existsSync(join(ROOT, path))) continue;
    const text = readFileSync(join(ROOT, path), 'utf8');
    if (!text.includes('\0')) texts.set(path, text);
  }
  if (texts.size === 0) throw new Error('git lists no files: run the check in a clone');
  return texts;
}

function typeErrors(): Finding[] {
  const { output, failed } = run('tsc', ['-p', '.', '--pretty', 'false']);
  const errors = [...output.matchAll(/^(.+?)\((\d+),\d+\): error (.*)$/gm)];
  if (failed && errors.length === 0) throw new Error(`tsc: ${output}`);
  return errors.map(([, path, line, reason]) => {
    return { path: path!, line: Number(line), rule: 'type', reason: reason! };
  });
}

function formatErrors(): Finding[] {
  const { output, failed } = run('prettier', ['--list-different', '.']);
  const paths = output.split('\n').filter((path) => path !== '');
  if (failed && paths.length === 0) throw new Error(`prettier: ${output}`);
  return paths.map((path) => {
    return { path, line: 1, rule: 'format', reason: 'not formatted: pnpm format does it' };
  });
}

function run(tool: string, options: readonly string[]): { output: string; failed: boolean } {
  const PATH = `${join(ROOT, 'node_modules/.bin')}${delimiter}${process.env['PATH']}`;
  const { status, stdout, stderr, error } = spawnSync(tool, options, {
    cwd: ROOT,
    env: { ...process.env, PATH },
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
  });
  if (error) throw error;
  return { output: stdout + stderr, failed: status !== 0 };
}
