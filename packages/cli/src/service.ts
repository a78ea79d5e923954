import { readFileSync, rmSync } from 'node:fs';
import type { Log } from '@argyle/host';
import { ExitCode } from './exit-code.ts';
import { describeCrash } from './log.ts';
import { writePrivate } from './private-file.ts';

/** Something that runs until a signal ends it. */
export interface Service {
  /** Takes what only one process can have; before that, nothing of another one is touched. */
  open(): Promise<void>;
  /** Resolves when it serves. `stop` ends it early. */
  start(): Promise<void>;
  /** Rejects when it cannot go on; it never resolves. */
  readonly failure: Promise<never>;
  /** Takes no new work and lets what is under way end, within a bound of its own. */
  drain(): Promise<void>;
  /** Ends everything at once. */
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly log: Log;
  readonly pidFile: string | undefined;
}

/** A second signal asks for an end at once; past this the process ends without waiting further. */
const STOP_MS = 2_000;

/**
 * Runs a service until SIGTERM or SIGINT: drain, then stop. A second signal ends the drain. Rejects
 * if it cannot start or go on; everything it opened is closed then.
 */
export async function run(service: Service, { log, pidFile }: ServiceOptions): Promise<void> {
  const signals = new Signals();
  const crashed = (error: unknown) => {
    log.error(describeCrash(error), 'the process ends: an error that nobody expected');
    removePidFile(pidFile);
    process.exit(ExitCode.failure);
  };
  process.on('uncaughtException', crashed);
  process.on('unhandledRejection', crashed);
  try {
    await service.open();
    if (pidFile !== undefined) writePrivate(pidFile, `${process.pid}\n`);
    await serve(service, signals, log);
  } finally {
    await within(STOP_MS, service.stop());
    removePidFile(pidFile);
    signals.close();
    process.off('uncaughtException', crashed);
    process.off('unhandledRejection', crashed);
  }
  log.info({ event: 'stopped' }, 'stopped');
}

async function serve(service: Service, signals: Signals, log: Log): Promise<void> {
  const first = signals.next();
  const started = service.start();
  const early = await Promise.race([started, service.failure, first]);
  if (early !== undefined) {
    started.catch(() => undefined);
    return;
  }
  const signal = await Promise.race([first, service.failure]);
  log.info({ event: 'draining', signal }, `${signal}: no new connections; open ones may end`);
  await Promise.race([service.drain(), service.failure, signals.next()]);
}

/** SIGTERM and SIGINT, one after another. */
class Signals {
  #waiting: ((signal: NodeJS.Signals) => void) | undefined;
  #early: NodeJS.Signals | undefined;
  readonly #listener = (signal: NodeJS.Signals): void => {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting(signal);
    else this.#early = signal;
  };

  constructor() {
    process.on('SIGTERM', this.#listener);
    process.on('SIGINT', this.#listener);
  }

  next(): Promise<NodeJS.Signals> {
    const early = this.#early;
    this.#early = undefined;
    if (early) return Promise.resolve(early);
    return new Promise((resolve) => (this.#waiting = resolve));
  }

  close(): void {
    process.off('SIGTERM', this.#listener);
    process.off('SIGINT', this.#listener);
  }
}

/** Waits no longer than that. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, over]).finally(() => clearTimeout(timer));
}

/** Only its own: another process may have taken the name meanwhile. */
function removePidFile(path: string | undefined): void {
  if (path === undefined) return;
  try {
    if (readFileSync(path, 'utf8').trim() === String(process.pid)) rmSync(path);
  } catch {
    // Somebody removed it: that is what was wanted.
  }
}
