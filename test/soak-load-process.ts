import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { LoadOrder, LoadPlan, LoadReport, LoadTotals, VisitFailure } from './soak-load.ts';

const PROGRAM = join(import.meta.dirname, 'soak-load.ts');
/** Longer than any visit may take. */
const QUIET_MS = 25_000;

/** The load, in a process of its own, so that what it needs is not taken for the cluster's. */
export class LoadProcess {
  readonly failures: VisitFailure[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<LoadReport['kind'], (report: LoadReport) => void>();
  #ended: string | undefined;

  static async start(plan: LoadPlan): Promise<LoadProcess> {
    const load = new LoadProcess(plan);
    await load.#wait('ready');
    return load;
  }

  constructor(plan: LoadPlan) {
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#child = fork(PROGRAM, [JSON.stringify(plan)], { env, execArgv: [] });
    this.#child.on('message', (report: LoadReport) => {
      if (report.kind === 'failure') this.failures.push(report.failure);
      else this.#waiting.get(report.kind)?.(report);
    });
    this.#child.on('exit', (code, signal) => (this.#ended = `exit code ${code}, ${signal}`));
  }

  /** Ends when nobody is on a visit any more, and nobody begins one. */
  async pause(): Promise<void> {
    await this.#order('pause', 'quiet');
  }

  resume(): void {
    this.#child.send('resume' satisfies LoadOrder);
  }

  async stop(): Promise<LoadTotals> {
    const report = await this.#order('stop', 'totals');
    if (report.kind !== 'totals') throw new Error('another report than asked for');
    return report.totals;
  }

  /** For a teardown. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #order(order: LoadOrder, answer: LoadReport['kind']): Promise<LoadReport> {
    const answered = this.#wait(answer);
    if (this.#child.connected) this.#child.send(order);
    return answered;
  }

  #wait(kind: LoadReport['kind']): Promise<LoadReport> {
    const { promise, resolve, reject } = Promise.withResolvers<LoadReport>();
    const fail = () => reject(new Error(`the load did not say ${kind}: ${this.#ended ?? 'late'}`));
    const timer = setTimeout(fail, QUIET_MS);
    this.#child.once('exit', fail);
    this.#waiting.set(kind, resolve);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#child.off('exit', fail);
      this.#waiting.delete(kind);
    });
  }
}
