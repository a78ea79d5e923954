import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';

/** USER_HZ of Linux. */
const TICKS_PER_S = 100;

/** Where and when figures were taken. */
export interface Circumstances {
  readonly machine: string;
  /** Of the machine's processor time, what others used meanwhile. */
  readonly othersShare: number;
}

/** What others take of the machine's processors, beside this process and its children. */
export class MachineWatch {
  #elapsedS = 0;
  #othersS = 0;

  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    const [start, busy, own] = [performance.now(), busySeconds(), ownSeconds()];
    const result = await work();
    this.#elapsedS += (performance.now() - start) / 1_000;
    this.#othersS += busySeconds() - busy - (ownSeconds() - own);
    return result;
  }

  get circumstances(): Circumstances {
    const available = this.#elapsedS * availableParallelism();
    const othersShare = available === 0 ? 0 : Math.max(0, this.#othersS / available);
    const model = cpus()[0]?.model.trim() ?? 'unknown processor';
    const { node, openssl } = process.versions;
    const system = `Linux ${release().split('-')[0]}, Node ${node}, OpenSSL ${openssl}`;
    return { machine: `${availableParallelism()} × ${model}, ${system}`, othersShare };
  }
}

/** All but idle, waiting for disks, and what a guest's host takes. */
function busySeconds(): number {
  const [first = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0] = first
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + interrupts + softInterrupts) / TICKS_PER_S;
}

/** Of this process and all below it, those included that have ended and were waited for. */
function ownSeconds(): number {
  const parents = new Map<number, number>();
  const seconds = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFields(name);
    const [, parent = 0] = fields;
    parents.set(Number(name), parent);
    const ticks = fields.slice(11, 15).reduce((sum, each) => sum + each, 0);
    seconds.set(Number(name), ticks / TICKS_PER_S);
  }
  const isOwn = (pid: number): boolean => {
    if (pid === process.pid) return true;
    const parent = parents.get(pid);
    return parent !== undefined && parent !== 0 && isOwn(parent);
  };
  return [...seconds].reduce((sum, [pid, each]) => sum + (isOwn(pid) ? each : 0), 0);
}

/** From the state on, which is no number; nothing of a process that has just gone. */
function statFields(pid: string): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
  } catch {
    return [];
  }
}
