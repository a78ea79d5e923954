import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Home } from '../home.ts';
import { writePrivate } from '../private-file.ts';

const MAIN = join(import.meta.dirname, '..', 'main.ts');
const LOOK_AGAIN_MS = 25;

/** A node or the client of a home, as a process that outlives this one. */
export class LocalProcess {
  readonly name: string;
  readonly #home: Home;
  readonly #command: 'node' | 'client';

  constructor(home: Home, name: string) {
    this.name = name;
    this.#home = home;
    this.#command = name === 'client' ? 'client' : 'node';
  }

  get logFile(): string {
    return this.#home.log(this.name);
  }

  /** Its process id if it runs. The number in the file may have gone to another process since. */
  pid(): number | undefined {
    const pid = Number(readOr(this.#home.pidFile(this.name), '').trim());
    if (!Number.isInteger(pid) || pid <= 0) return undefined;
    const config = this.#home.config(this.name);
    return commandLine(pid).includes(`main.ts ${this.#command} --config ${config} `)
      ? pid
      : undefined;
  }

  /** Starts it in a session of its own, so that it survives this shell; it writes to its log. */
  start(): Started {
    const logFrom = statSync(this.logFile, { throwIfNoEntry: false })?.size ?? 0;
    const log = openSync(this.logFile, 'a', 0o600);
    const pidFile = this.#home.pidFile(this.name);
    const config = this.#home.config(this.name);
    const child = spawn(
      process.execPath,
      [MAIN, this.#command, '--config', config, '--pid-file', pidFile],
      { detached: true, stdio: ['ignore', log, log], cwd: this.#home.path },
    );
    closeSync(log);
    child.unref();
    if (child.pid !== undefined) writePrivate(pidFile, `${child.pid}\n`);
    return { child, logFrom };
  }

  /** False when it was not gone after `withinMs`. */
  async signal(signal: 'SIGTERM' | 'SIGKILL', withinMs: number): Promise<boolean> {
    const pid = this.pid();
    if (pid === undefined) return true;
    process.kill(pid, signal);
    for (let waitedMs = 0; this.pid() === pid; waitedMs += LOOK_AGAIN_MS) {
      if (waitedMs >= withinMs) return false;
      await delay(LOOK_AGAIN_MS);
    }
    rmSync(this.#home.pidFile(this.name), { force: true });
    return true;
  }

  /** The last lines that it wrote since a place in its log. */
  tail(from: number, lines: number): string {
    const text = Buffer.from(readOr(this.logFile, '')).subarray(from).toString();
    return text.trimEnd().split('\n').slice(-lines).join('\n');
  }
}

export interface Started {
  readonly child: ChildProcess;
  /** Where in the log its first line stands, in bytes. */
  readonly logFrom: number;
}

/** Empty when there is no such process. */
function commandLine(pid: number): string {
  try {
    if (process.platform === 'linux')
      return `${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`;
    return `${execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).trim()} `;
  } catch {
    return '';
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}
