import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { findEngine } from './engine.ts';

/**
 * Runs tap over the test files and counts the tests: those of packages two files at a time, then
 * the scenarios of test/ one by one, because they start clusters and measure. Exit code 1 on a
 * failure. Containers are tested where Docker works, or as ARGYLE_TEST_CONTAINERS says: `always`
 * fails where it does not, `never` leaves them out.
 */
interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

const USAGE = `usage: scripts/test [--full] [PATTERN ...]
  PATTERN      only files whose path has one of these in it: packages/cache, test/seeds
  --full       at full size: many more seeds, kills, and load; takes hours

ARGYLE_TEST_CONTAINERS=always fails where containers cannot be tested, never leaves them out.`;
if (process.argv.includes('--help') || process.argv.includes('-h')) {
  console.log(USAGE);
  process.exit();
}
const unknown = process.argv.slice(2).find((word) => word.startsWith('-') && word !== '--full');
if (unknown !== undefined) {
  console.error(`${unknown} is unknown\n${USAGE}`);
  process.exit(2);
}
const patterns = process.argv.slice(2).filter((argument) => argument !== '--full');
const full = process.argv.includes('--full');
const chosen = (file: string) =>
  patterns.length === 0 || patterns.some((pattern) => file.includes(pattern));
const units = globSync('packages/*/test/**/*.test.ts').filter(chosen).sort();
const scenarios = globSync('test/**/*.test.ts')
  .filter((file) => !file.includes('node_modules') && chosen(file))
  .sort();
const needsContainers = (file: string) => file.startsWith('test/containers');
const untested = scenarios.some(needsContainers) ? whyNoContainers() : undefined;
const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
let failedInFile = 0;
if (units.length + scenarios.length === 0) {
  console.error(`no test file matches ${patterns.join(' ')}`);
  process.exit(2);
}
const possible = scenarios.filter((file) => !needsContainers(file) || untested === undefined);
const failures = [await run(units, 2), await run(possible, 1)].filter((code) => code !== 0);
if (untested !== undefined) console.log(`containers were not tested: ${untested}`);
console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
process.exitCode = failures.length > 0 || tally.failed > 0 ? 1 : 0;

function whyNoContainers(): string | undefined {
  const wish = process.env['ARGYLE_TEST_CONTAINERS'];
  if (wish === 'always') return undefined;
  if (wish === 'never') return 'ARGYLE_TEST_CONTAINERS says never';
  const engine = findEngine();
  return 'missing' in engine ? engine.missing : undefined;
}

/** Answers tap's exit code. */
function run(files: readonly string[], jobs: number): Promise<number> {
  if (files.length === 0) return Promise.resolve(0);
  const options = ['--reporter=tap', `--jobs=${jobs}`, `--timeout=${full ? 3 * 3_600 : 120}`];
  const tap = spawn('tap', ['run', ...options, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ARGYLE_TEST_FULL: full ? '1' : '0' },
  });
  const lines = createInterface({ input: tap.stdout });
  let inFailure = false;
  lines.on('line', (line) => {
    inFailure = show(line, inFailure);
    count(line);
  });
  return new Promise((resolve) => {
    tap.on('close', (code) => resolve(code ?? 1));
  });
}

/**
 * A test is a subtest of a file: indented once. A file that fails outside of its tests is one too.
 */
function count(line: string): void {
  if (/^(not )?ok \d+/.test(line)) {
    if (line.startsWith('not') && failedInFile === 0) tally.failed += 1;
    failedInFile = 0;
  }
  const result = /^ {4}(not )?ok \d+(.*)$/.exec(line);
  if (!result) return;
  if (result[1]) failedInFile += 1;
  if (/# (SKIP|TODO)/.test(result[2] ?? '')) {
    tally.skipped += 1;
    console.log(line.trim());
  } else if (result[1]) tally.failed += 1;
  else tally.passed += 1;
}

/** Files as they end, comments, and failures with their diagnostics; true within a failure. */
function show(line: string, inFailure: boolean): boolean {
  const result = /^( *)(not )?ok \d+/.exec(line);
  const failed = result ? result[2] !== undefined : inFailure;
  const isFile = result?.[1] === '';
  const isComment = /^ {4,8}# (?!Subtest|\{|time)/.test(line);
  if (failed || isFile || isComment) console.log(line);
  return failed;
}
