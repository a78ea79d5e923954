import { createInterface } from 'node:readline';
import { setImmediate as otherWork } from 'node:timers/promises';
import type { Endpoint } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import { LocalReplica, ReplicaError } from '@argyle/replica';

/** What a member is told, as JSON in its only argument. */
export interface GroupMemberOptions {
  readonly name: string;
  readonly address: string;
  readonly group: Endpoint;
  /** 0: any. */
  readonly ownPort: number;
  readonly capacityBytes: number;
  /** Hexadecimal. */
  readonly clusterKey: string;
}

/** One line of JSON on its input is answered by one on its output. */
export type GroupMemberRequest =
  | { readonly kind: 'status' }
  /** Writes of so many writers, each with one under way. */
  | { readonly kind: 'write'; readonly writes: number; readonly writers: number }
  /** Answered at once: from here on they write so many records again and again, until `end`. */
  | { readonly kind: 'begin'; readonly records: number; readonly writers: number }
  | { readonly kind: 'end' };

export interface GroupMemberAnswer {
  readonly ready: boolean;
  /** Members in the view that are ready too. */
  readonly others: number;
  /** Its own incarnation, then the others' of the view. */
  readonly incarnations: readonly string[];
  readonly viewChanges: number;
  readonly records: number;
  readonly digest: string;
  readonly repairs: number;
  /** Segments dropped since its start, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** For how many seconds each gate was the binding one. */
  readonly gates: Readonly<Record<string, number>>;
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** Writes since its start that all others have applied. */
  readonly written: number;
  /** Writes that not all others have applied, or that failed. */
  readonly failed: number;
  /** Those since its start by why: `alone`, or the error's code. */
  readonly failures: Readonly<Record<string, number>>;
  /** How long each took during which something was repaired, in milliseconds. */
  readonly repairedMs: readonly number[];
}

const TABLE = 1;
const VALUE_BYTES = 300;
const LIFE_MS = 3_600_000;

class GroupMember {
  readonly #replica: LocalReplica;
  /** Who is to apply what is written, when that began. */
  #others = 0;
  #begun = 0;
  #written = 0;
  #failed = 0;
  readonly #failures = new Map<string, number>();
  #stop = false;
  #writing: Promise<unknown> = Promise.resolve();

  constructor({ name, address, group, ...options }: GroupMemberOptions) {
    const silent = () => undefined;
    this.#replica = new LocalReplica({
      host: new SystemHost(),
      log: { debug: silent, info: silent, warn: silent, error: silent },
      name,
      group: {
        clusterKey: Buffer.from(options.clusterKey, 'hex'),
        address: group,
        interfaceAddress: address,
        ownPort: options.ownPort,
        multicastTtl: 1,
        segmentBytes: 1_400,
        transport: 'auto',
        mdns: true,
        members: [],
      },
      cache: { capacityBytes: options.capacityBytes },
      stateChanged: silent,
      failed: (error) => {
        throw error;
      },
    });
  }

  async serve(): Promise<void> {
    await this.#replica.start();
    for await (const line of createInterface({ input: process.stdin })) {
      const answer = await this.#answer(JSON.parse(line) as GroupMemberRequest);
      process.stdout.write(`${JSON.stringify(answer)}\n`);
    }
    this.#stop = true;
    await this.#replica.close();
  }

  async #answer(request: GroupMemberRequest): Promise<GroupMemberAnswer> {
    if (request.kind === 'write' || request.kind === 'begin') this.#others = this.#status().others;
    switch (request.kind) {
      case 'status':
        return this.#status();
      case 'write': {
        const failedBefore = this.#failed;
        const repairedMs = await this.#write(request);
        return { ...this.#status(), failed: this.#failed - failedBefore, repairedMs };
      }
      case 'begin':
        this.#stop = false;
        this.#writing = this.#writeOn(request);
        return this.#status();
      case 'end':
        this.#stop = true;
        await this.#writing;
        return this.#status();
    }
  }

  #status(): GroupMemberAnswer {
    const { self, members, viewChanges, cache, counters } = this.#replica.status();
    const { rss, heapUsed } = process.memoryUsage();
    return {
      ready: this.#replica.ready,
      others: members.filter(({ state }) => state === 'ready').length,
      incarnations: [self, ...members].map(({ incarnation }) => incarnation),
      viewChanges,
      records: cache.records,
      digest: cache.digest,
      repairs: counters.repairs,
      dropped: Object.fromEntries(counters.dropped.map(({ reason, count }) => [reason, count])),
      gates: Object.fromEntries(counters.gates.map(({ gate, seconds }) => [gate, seconds])),
      residentBytes: rss,
      heapBytes: heapUsed,
      written: this.#written,
      failed: this.#failed,
      failures: Object.fromEntries(this.#failures),
      repairedMs: [],
    };
  }

  get #repairs(): number {
    return this.#replica.status().counters.repairs;
  }

  /** How long each took during which something was repaired; of several writers none is told. */
  async #write({ writes, writers }: { writes: number; writers: number }): Promise<number[]> {
    const repairedMs: number[] = [];
    let left = writes;
    const writer = async () => {
      while (left > 0) {
        left -= 1;
        const repairs = writers === 1 ? this.#repairs : Infinity;
        const began = performance.now();
        await this.#add(Infinity);
        if (this.#repairs > repairs) repairedMs.push(performance.now() - began);
      }
    };
    await Promise.all(Array.from({ length: writers }, writer));
    return repairedMs;
  }

  async #writeOn({ records, writers }: { records: number; writers: number }): Promise<void> {
    const writer = async () => {
      while (!this.#stop) {
        const failedBefore = this.#failed;
        await this.#add(records);
        // Who is alone waits for nobody: other work is to have its turn.
        if (this.#failed > failedBefore) await otherWork();
      }
    };
    await Promise.all(Array.from({ length: writers }, writer));
  }

  /** To one of so many records, in turn. */
  async #add(records: number): Promise<void> {
    this.#begun += 1;
    const key = Buffer.from(`record ${this.#begun % records}`);
    const value = Buffer.alloc(VALUE_BYTES, `value ${this.#begun}`);
    const added = this.#replica.add(TABLE, key, value, Date.now() + LIFE_MS);
    const outcome = await added.then(
      ({ members }) => (members === this.#others ? 'written' : 'alone'),
      (error: unknown) => (error instanceof ReplicaError ? error.code : String(error)),
    );
    if (outcome === 'written') this.#written += 1;
    else this.#failed += 1;
    if (outcome !== 'written') this.#failures.set(outcome, (this.#failures.get(outcome) ?? 0) + 1);
  }
}

await new GroupMember(JSON.parse(process.argv[2] ?? '{}') as GroupMemberOptions).serve();
