import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';

const MAIN = join(import.meta.dirname, '..', 'src', 'main.ts');
/** Of this process, without what would change the answers. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('ARGYLE_')),
);

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export class Running {
  readonly child: ChildProcess;
  readonly done: Promise<Ran>;

  /** `through`: a command that runs the one that it is given. */
  constructor(
    t: Test,
    args: readonly string[],
    options: { input?: string; through?: string[] } = {},
  ) {
    const { input = '', through = [] } = options;
    // The test runner hooks its children by NODE_OPTIONS; what users run has no hooks.
    const command = ['-u', 'NODE_OPTIONS', ...through, process.execPath, MAIN, ...args];
    this.child = spawn('env', command, { env: ENVIRONMENT });
    this.child.stdin?.end(input);
    const { stdout, stderr } = this.child;
    if (!stdout || !stderr) throw new Error('the child has its streams');
    this.done = Promise.all([
      text(stdout).catch(() => ''),
      text(stderr),
      once(this.child, 'exit'),
    ]).then(([out, err, [code]]) => ({ code: code as number | null, out, err }));
    t.teardown(async () => {
      this.child.kill('SIGKILL');
      await this.done;
    });
  }
}

/** The command line as a process of its own. */
export async function argyle(t: Test, args: readonly string[], input = ''): Promise<Ran> {
  return new Running(t, args, { input }).done;
}

/** Looks until it holds; the test's own time-out is the bound. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(20);
}

export async function isReady(adminPort: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok;
  } catch {
    return false;
  }
}
