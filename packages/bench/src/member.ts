import { createInterface } from 'node:readline';
import { LocalReplica, ReplicaError } from '@argyle/replica';
import { SystemHost } from '@argyle/host/system';
import { quantiles, type Quantiles } from './figures.ts';

/** What a member is told, as JSON in its only argument. */
export interface MemberOptions {
  readonly index: number;
  readonly members: number;
  /** The group's port; members own those after it. */
  readonly groupPort: number;
  readonly valueBytes: number;
}

/** One line of JSON on its input is answered by one on its output. */
export type MemberRequest =
  | { readonly kind: 'ready' }
  | { readonly kind: 'usage' }
  | { readonly kind: 'add'; readonly writers: number; readonly seconds: number }
  | { readonly kind: 'fill'; readonly records: number }
  | { readonly kind: 'get'; readonly store: 'replica' | 'map'; readonly seconds: number };

export interface MemberAnswer extends Partial<Quantiles> {
  /** All members are ready and in the view. */
  readonly ready?: boolean;
  readonly digest?: string;
  /** User and system. */
  readonly cpuSeconds?: number;
  readonly done?: number;
  /** Writes that not all others have applied. */
  readonly unacknowledged?: number;
  readonly seconds?: number;
  /** Of the values that were read. */
  readonly checksum?: number;
}

const TABLE = 1;
const KEY_BYTES = 32;
/** Longer than any run, short enough that runs do not fill the cache. */
const LIFE_MS = 60_000;
/** As a node has it on loopback. */
const SEGMENT_BYTES = 60 * 1_024;
const CAPACITY_BYTES = 1_024 * 2 ** 20;
const WARM_SHARE = 0.2;
/** GETs between two looks at the clock. */
const BATCH = 500;

async function serve(options: MemberOptions): Promise<void> {
  const member = new Member(options);
  await member.start();
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await member.answer(JSON.parse(line) as MemberRequest);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  await member.close();
}

/** A replica of a group on this machine, as a node holds one, that puts load on itself. */
class Member {
  readonly #options: MemberOptions;
  readonly #replica: LocalReplica;
  readonly #map = new Map<string, Buffer>();
  readonly #value: Uint8Array;
  #written = 0;
  #filled = 0;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.#value = new Uint8Array(options.valueBytes).fill(0x61);
    const { groupPort, index } = options;
    const silent = () => undefined;
    this.#replica = new LocalReplica({
      host: new SystemHost(),
      log: { debug: silent, info: silent, warn: silent, error: silent },
      name: `member-${index}`,
      group: {
        clusterKey: new Uint8Array(KEY_BYTES).fill(groupPort & 0xff),
        address: { address: '239.192.0.1', port: groupPort },
        interfaceAddress: '127.0.0.1',
        ownPort: groupPort + index,
        multicastTtl: 0,
        segmentBytes: SEGMENT_BYTES,
        transport: 'auto',
        mdns: false,
        members: Array.from({ length: options.members }, (_, other) => {
          return { address: '127.0.0.1', port: groupPort + 1 + other };
        }).filter(({ port }) => port !== groupPort + index),
      },
      cache: { capacityBytes: CAPACITY_BYTES },
      stateChanged: silent,
      failed: (error) => {
        throw error;
      },
    });
  }

  start(): Promise<void> {
    return this.#replica.start();
  }

  close(): Promise<void> {
    return this.#replica.close();
  }

  async answer(request: MemberRequest): Promise<MemberAnswer> {
    switch (request.kind) {
      case 'ready':
        return { ready: this.#complete(), digest: this.#replica.status().cache.digest };
      case 'usage':
        return { cpuSeconds: cpuSeconds() };
      case 'add':
        return this.#add(request.writers, request.seconds);
      case 'fill':
        return this.#fill(request.records);
      case 'get':
        this.#get(request.store, request.seconds * WARM_SHARE);
        return this.#get(request.store, request.seconds);
    }
  }

  #complete(): boolean {
    const { members } = this.#replica.status();
    const others = members.filter(({ state }) => state === 'ready').length;
    return this.#replica.ready && others === this.#options.members - 1;
  }

  async #add(writers: number, seconds: number): Promise<MemberAnswer> {
    const [start, cpu] = [performance.now(), cpuSeconds()];
    const end = start + seconds * 1_000;
    const others = this.#options.members - 1;
    const latencies: number[] = [];
    let unacknowledged = 0;
    const write = async () => {
      const key = Buffer.alloc(KEY_BYTES);
      for (let began = performance.now(); began < end;) {
        this.#written += 1;
        setKey(key, this.#written);
        const acknowledged = await this.#write(key);
        const ended = performance.now();
        if (acknowledged === others) latencies.push(ended - began);
        else unacknowledged += 1;
        began = ended;
      }
    };
    await Promise.all(Array.from({ length: writers }, write));
    const elapsed = (performance.now() - start) / 1_000;
    const usage = { cpuSeconds: cpuSeconds() - cpu, seconds: elapsed };
    return { done: latencies.length, unacknowledged, ...usage, ...quantiles(latencies) };
  }

  /** How many members acknowledged it; none when the group fell apart meanwhile. */
  async #write(key: Uint8Array): Promise<number> {
    try {
      const expiresAt = Date.now() + LIFE_MS;
      return (await this.#replica.add(TABLE, key, this.#value, expiresAt)).members;
    } catch (error) {
      if (error instanceof ReplicaError) return 0;
      throw error;
    }
  }

  async #fill(records: number): Promise<MemberAnswer> {
    const expiresAt = Date.now() + 60 * LIFE_MS;
    for (; this.#filled < records; this.#filled += 1) {
      const key = keyOf(this.#filled);
      this.#map.set(key.toString('latin1'), Buffer.from(this.#value));
      await this.#replica.add(TABLE, key, this.#value, expiresAt);
    }
    return { done: this.#filled };
  }

  /** Random keys; both answer a key given as bytes, as nodes have it. */
  #get(store: 'replica' | 'map', seconds: number): MemberAnswer {
    const keys = Array.from({ length: BATCH * 20 }, () =>
      keyOf(Math.floor(Math.random() * this.#filled)),
    );
    const [start, cpu] = [performance.now(), cpuSeconds()];
    const end = start + seconds * 1_000;
    let [done, checksum] = [0, 0];
    while (performance.now() < end) {
      for (let i = 0; i < BATCH; i += 1) {
        const key = keys[(done + i) % keys.length]!;
        const value =
          store === 'map'
            ? this.#map.get(key.toString('latin1'))
            : this.#replica.get(TABLE, key)?.value;
        checksum += (value?.[0] ?? 0) + (value?.length ?? 0);
      }
      done += BATCH;
    }
    if (checksum !== done * (this.#value[0]! + this.#value.length))
      throw new Error(`${store}: values are missing`);
    const elapsed = (performance.now() - start) / 1_000;
    return { done, checksum, seconds: elapsed, cpuSeconds: cpuSeconds() - cpu };
  }
}

function keyOf(number: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  setKey(key, number);
  return key;
}

function setKey(key: Buffer, number: number): void {
  key.writeUInt32BE(Math.imul(number, 0x9e3779b1) >>> 0);
  key.writeUInt32BE(number, KEY_BYTES - 4);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

if (import.meta.main) await serve(JSON.parse(process.argv[2] ?? '{}') as MemberOptions);
