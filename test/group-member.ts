import { createInterface } from 'node:readline';
import type { Endpoint } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import { LocalReplica } from '@argyle/replica';

/** What a member is told, as JSON in its only argument. */
export interface GroupMemberOptions {
  readonly name: string;
  readonly address: string;
  readonly group: Endpoint;
  /** Hexadecimal. */
  readonly clusterKey: string;
}

/** One line of JSON on its input is answered by one on its output. */
export type GroupMemberRequest =
  | { readonly kind: 'status' }
  /** Writes of so many writers, each with one under way. */
  | { readonly kind: 'write'; readonly writes: number; readonly writers: number };

export interface GroupMemberAnswer {
  readonly ready: boolean;
  /** Members in the view that are ready too. */
  readonly others: number;
  readonly records: number;
  readonly digest: string;
  readonly repairs: number;
  /** Writes that not all others have applied, or that failed. */
  readonly failed: number;
  /** How long each took during which something was repaired, in milliseconds. */
  readonly repairedMs: readonly number[];
}

const TABLE = 1;
const VALUE_BYTES = 300;
const LIFE_MS = 3_600_000;

class GroupMember {
  readonly #replica: LocalReplica;
  #written = 0;

  constructor({ name, address, group, clusterKey }: GroupMemberOptions) {
    const silent = () => undefined;
    this.#replica = new LocalReplica({
      host: new SystemHost(),
      log: { debug: silent, info: silent, warn: silent, error: silent },
      name,
      group: {
        clusterKey: Buffer.from(clusterKey, 'hex'),
        address: group,
        interfaceAddress: address,
        ownPort: 0,
        multicastTtl: 1,
        segmentBytes: 1_400,
        transport: 'auto',
        mdns: true,
        members: [],
      },
      cache: { capacityBytes: 256 * 2 ** 20 },
      stateChanged: silent,
      failed: (error) => {
        throw error;
      },
    });
  }

  async serve(): Promise<void> {
    await this.#replica.start();
    for await (const line of createInterface({ input: process.stdin })) {
      const request = JSON.parse(line) as GroupMemberRequest;
      const written = request.kind === 'write' ? await this.#write(request) : {};
      process.stdout.write(`${JSON.stringify({ ...this.#status(), ...written })}\n`);
    }
    await this.#replica.close();
  }

  #status(): GroupMemberAnswer {
    const { members, cache } = this.#replica.status();
    const others = members.filter(({ state }) => state === 'ready').length;
    const { records, digest } = cache;
    const { ready } = this.#replica;
    return { ready, others, records, digest, repairs: this.#repairs, failed: 0, repairedMs: [] };
  }

  get #repairs(): number {
    return this.#replica.status().counters.repairs;
  }

  async #write({ writes, writers }: { writes: number; writers: number }) {
    const others = this.#status().others;
    const repairedMs: number[] = [];
    let [left, failed] = [writes, 0];
    const writer = async () => {
      while (left > 0) {
        left -= 1;
        const repairs = writers === 1 ? this.#repairs : Infinity;
        const began = performance.now();
        if ((await this.#add()) !== others) failed += 1;
        if (this.#repairs > repairs) repairedMs.push(performance.now() - began);
      }
    };
    await Promise.all(Array.from({ length: writers }, writer));
    return { failed, repairedMs };
  }

  async #add(): Promise<number> {
    this.#written += 1;
    const key = Buffer.from(`record ${this.#written}`);
    const value = Buffer.alloc(VALUE_BYTES, key);
    const added = this.#replica.add(TABLE, key, value, Date.now() + LIFE_MS);
    return added.then(
      ({ members }) => members,
      () => -1,
    );
  }
}

await new GroupMember(JSON.parse(process.argv[2] ?? '{}') as GroupMemberOptions).serve();
