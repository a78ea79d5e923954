import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { profileFlags } from './argyle.ts';
import { BenchError } from './bench-error.ts';
import { LineProcess } from './line-process.ts';
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

/** One member; it leaves its group when its input ends. */
export class MemberProcess extends LineProcess<MemberRequest, MemberAnswer> {
  constructor(options: MemberOptions, profile: string | undefined) {
    const flags = profileFlags(profile, `member-${options.index}-${options.groupPort}`);
    super('a member', process.execPath, [...flags, PROGRAM, JSON.stringify(options)]);
  }
}
