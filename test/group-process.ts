import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { GroupMemberAnswer, GroupMemberRequest } from './group-member.ts';

/** A member in a process of its own, wherever the command runs it (group-member.ts). */
export class GroupProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;

  constructor(command: string, args: readonly string[]) {
    // The test runner hooks its children by NODE_OPTIONS; members have no hooks.
    const { NODE_OPTIONS: _hooks, ...env } = process.env;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env });
    this.#child.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** One question at a time. Rejects when the process ends instead. */
  async ask(request: GroupMemberRequest): Promise<GroupMemberAnswer> {
    const answered = new AbortController();
    const { signal } = answered;
    const line = once(this.#lines, 'line', { signal });
    const ended = once(this.#lines, 'close', { signal }).then(() => {
      throw new Error(`a member ended at ${JSON.stringify(request)}`);
    });
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    try {
      const [text] = (await Promise.race([line, ended])) as [string];
      return JSON.parse(text) as GroupMemberAnswer;
    } finally {
      line.catch(() => undefined);
      ended.catch(() => undefined);
      answered.abort();
    }
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}
