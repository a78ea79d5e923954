import { createInterface } from 'node:readline';
import { Driver, type Host } from '@argyle/host';
import { SystemHost } from '@argyle/host/system';
import { type GateName, Group, type GroupEvent, SegmentKind } from '@argyle/multicast';

/** What a member is told, as JSON in its only argument. */
export interface FlowMemberOptions {
  readonly name: string;
  readonly address: string;
  readonly members: number;
  readonly gates: readonly GateName[];
  /** How long it takes over every segment of others. */
  readonly slowMs: number;
}

/** One line of JSON on its input is answered by one on its output. */
export type FlowRequest =
  | { readonly kind: 'look' }
  /** From now on it writes: at that rate, or whenever something may leave. */
  | { readonly kind: 'press'; readonly mbit?: number };

/** What it has counted since it started. */
export interface FlowLook {
  readonly atMs: number;
  /** Others in its view. */
  readonly members: number;
  /** Bytes of others' records, by their names. */
  readonly applied: Readonly<Record<string, number>>;
  readonly segments: number;
  readonly repairs: number;
  /** Segments sent again for each, by name. */
  readonly repairedFor: Readonly<Record<string, number>>;
  readonly rssBytes: number;
  /** The longest time that it did not run since it was last looked at. */
  readonly pausedMs: number;
}

const RECORD = new Uint8Array(200).fill(0x61);
const GROUP = { address: '239.192.0.1', port: 13_080 };
const OWN_PORT = 13_081;
const KEY_BYTES = 32;
/** What waits to be sent, so that something always does. */
const QUEUE_BYTES = 64 * 1_024;
const LOOK_AGAIN_MS = 2;

async function serve(options: FlowMemberOptions): Promise<void> {
  const member = new FlowMember(options);
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line) as FlowRequest;
    if (request.kind === 'press') member.press(request.mbit);
    process.stdout.write(`${JSON.stringify(member.look())}\n`);
  }
  await member.close();
}

/** A member of a group alone, without the replica that nodes have on top. */
class FlowMember {
  readonly #group: Group;
  readonly #driver: Driver<GroupEvent>;
  readonly #names = new Map<string, string>();
  readonly #applied: Record<string, number> = {};
  readonly #clock = setInterval(() => this.#tick(), LOOK_AGAIN_MS);
  #tickedAt = performance.now();
  #pausedMs = 0;
  #writer: NodeJS.Timeout | undefined;
  #keepFull = false;

  constructor({ name, address, gates, slowMs }: FlowMemberOptions) {
    const host = slowed(new SystemHost(), slowMs);
    this.#group = new Group({
      name,
      clusterKey: new Uint8Array(KEY_BYTES).fill(1),
      random: (sizeBytes) => host.random(sizeBytes),
      members: [],
      segmentBytes: 1_400,
      transport: 'multicast',
      note: () => new Uint8Array(0),
      gates,
    });
    const failed = (error: Error) => {
      throw error;
    };
    this.#driver = new Driver<GroupEvent>(host, this.#group, {
      event: (event) => this.#handle(event),
      opened: (own) => this.#driver.run((now) => this.#group.open(own, now)),
      failed,
      unsent: () => undefined,
    });
    this.#driver.start({
      group: GROUP,
      interfaceAddress: address,
      ownPort: OWN_PORT,
      linkKeys: () => this.#group.keyring.linkKeys,
      multicastTtl: 1,
    });
  }

  press(mbit: number | undefined): void {
    this.#keepFull = mbit === undefined;
    const began = performance.now();
    let written = 0;
    this.#writer = setInterval(() => {
      if (mbit === undefined) return this.#fill();
      const due = ((performance.now() - began) * mbit * 1_000) / 8;
      for (; written < due; written += RECORD.length) this.#write();
    }, LOOK_AGAIN_MS);
  }

  look(): FlowLook {
    const { members, outbound, counters } = this.#group;
    const repairedFor = members.map(({ incarnation }) => [
      this.#nameOf(incarnation),
      outbound.receiver(incarnation)?.repairs ?? 0,
    ]);
    return {
      atMs: performance.now(),
      members: members.length,
      applied: this.#applied,
      segments: counters.sent.data - outbound.repairs,
      repairs: outbound.repairs,
      repairedFor: Object.fromEntries(repairedFor) as Record<string, number>,
      rssBytes: process.memoryUsage.rss(),
      pausedMs: this.#takePaused(),
    };
  }

  async close(): Promise<void> {
    clearInterval(this.#clock);
    clearInterval(this.#writer);
    this.#keepFull = false;
    this.#driver.run(() => this.#group.leave());
    await new Promise<void>((resolve) => this.#driver.close(resolve));
  }

  #handle(event: GroupEvent): void {
    if (event.kind === 'message') {
      const name = this.#nameOf(event.from);
      this.#applied[name] = (this.#applied[name] ?? 0) + event.message.length;
    } else if (event.kind === 'ended' && this.#keepFull) this.#fill();
  }

  /** Who is alone has nobody to write to, and queues nothing. */
  #fill(): void {
    const { outbound, members } = this.#group;
    while (members.length > 0 && outbound.queueBytes < QUEUE_BYTES) this.#write();
  }

  #write(): void {
    this.#driver.run((now) => this.#group.send(RECORD, now));
  }

  #tick(): void {
    const now = performance.now();
    this.#pausedMs = Math.max(this.#pausedMs, now - this.#tickedAt - LOOK_AGAIN_MS);
    this.#tickedAt = now;
  }

  #takePaused(): number {
    this.#tick();
    const pausedMs = this.#pausedMs;
    this.#pausedMs = 0;
    return pausedMs;
  }

  #nameOf(incarnation: string): string {
    const known = this.#names.get(incarnation);
    if (known !== undefined) return known;
    const peer = this.#group.members.find((each) => each.incarnation === incarnation);
    const name = peer?.beat?.name ?? '';
    if (name !== '') this.#names.set(incarnation, name);
    return name;
  }
}

/** The same host, where reading a segment of data takes so long. */
function slowed(host: Host, slowMs: number): Host {
  if (slowMs === 0) return host;
  return {
    now: () => host.now(),
    wallOffset: () => host.wallOffset(),
    random: (sizeBytes) => host.random(sizeBytes),
    after: (delayMs, wake) => host.after(delayMs, wake),
    openPort: (options, handlers) =>
      host.openPort(options, {
        ...handlers,
        datagram(bytes, from, channel) {
          const until = bytes[1] === SegmentKind.data ? performance.now() + slowMs : 0;
          while (performance.now() < until);
          handlers.datagram(bytes, from, channel);
        },
      }),
  };
}

if (import.meta.main) await serve(JSON.parse(process.argv[2] ?? '{}') as FlowMemberOptions);
