import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { profileFlags } from './argyle.ts';
import { BenchError } from './bench-error.ts';
import type { MemberAnswer, MemberOptions, MemberRequest } from './member.ts';
import type { Site } from './site.ts';

const PROGRAM = fileURLToPath(new URL('./member.ts', import.meta.url));
const READY_WITHIN_MS = 20_000;
const LOOK_AGAIN_MS = 20;

/** Members of one group, a process each. */
export class MemberGroup implements AsyncDisposable {
  readonly members: readonly [MemberProcess, ...MemberProcess[]];

  private constructor(members: readonly [MemberProcess, ...MemberProcess[]]) {
    this.members = members;
  }

  /** Resolves when every member is ready and sees all others. */
  static async open(
    site: Site,
    options: { readonly members: number; readonly valueBytes: number },
  ): Promise<MemberGroup> {
    const groupPort = await site.ports(options.members + 1);
    const start = (index: number) =>
      new MemberProcess({ ...options, index, groupPort }, site.profile);
    const others = Array.from({ length: options.members - 1 }, (_, i) => start(i + 2));
    const group = new MemberGroup([start(1), ...others]);
    try {
      await group.untilReady();
    } catch (error) {
      await group[Symbol.asyncDispose]();
      throw error;
    }
    return group;
  }

  /** Processor time of all, in seconds. */
  async cpuSeconds(): Promise<number> {
    const answers = await Promise.all(this.members.map((each) => each.ask({ kind: 'usage' })));
    return answers.reduce((sum, { cpuSeconds = 0 }) => sum + cpuSeconds, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member[Symbol.asyncDispose]()));
  }

  /** Rejects with a BenchError when that takes too long. */
  async untilReady(): Promise<void> {
    const end = performance.now() + READY_WITHIN_MS;
    for (;;) {
      const answers = await Promise.all(this.members.map((each) => each.ask({ kind: 'ready' })));
      if (answers.every(({ ready }) => ready)) return;
      if (performance.now() > end) throw new BenchError('start', 'the members do not get ready');
      await delay(LOOK_AGAIN_MS);
    }
  }
}

/** One member; its errors go where the caller's do. */
export class MemberProcess implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;

  constructor(options: MemberOptions, profile: string | undefined) {
    const flags = profileFlags(profile, `member-${options.index}-${options.groupPort}`);
    const { NODE_OPTIONS: _hooks, ...env } = process.env;
    this.#child = spawn(process.execPath, [...flags, PROGRAM, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env,
    });
    this.#child.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  /** One question at a time. Rejects with a BenchError when the process ends instead. */
  async ask(request: MemberRequest): Promise<MemberAnswer> {
    const answered = new AbortController();
    const { signal } = answered;
    const ended = once(this.#child, 'exit', { signal }).then(() => {
      throw new BenchError('run', `a member ended at ${JSON.stringify(request)}`);
    });
    const answer = once(this.#lines, 'line', { signal });
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    try {
      const [line] = await Promise.race([answer, ended]);
      return JSON.parse(String(line)) as MemberAnswer;
    } finally {
      answer.catch(() => undefined);
      ended.catch(() => undefined);
      answered.abort();
    }
  }

  /** It leaves its group when its input ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}
