import { Driver } from '@argyle/host';
import { Group, type GroupEvent, SegmentKind } from '@argyle/multicast';
import { Simulator } from '@argyle/simulator';
import { BenchError } from './bench-error.ts';

const GROUP = { address: '239.192.0.1', port: 13_080 };
const OWN_PORT = 13_081;
const IP_AND_UDP_BYTES = 28;
const FORMS_WITHIN_MS = 60_000;
const WRITTEN_WITHIN_MS = 600_000;
/** A line of 1 Gbit/s, and what reading a datagram costs a process. */
const LIMITS = {
  egressBytesPerMs: 125_000,
  egressQueueBytes: 1024 * 1024,
  ingressBytesPerMs: 125_000,
  ingressQueueBytes: 1024 * 1024,
  receiveMs: 0.02,
  receiveQueueBytes: 212_992,
};

/** What has crossed the wire: packets, and their bytes with IPv4 and UDP headers. */
export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

interface Member {
  readonly group: Group;
  readonly driver: Driver<GroupEvent>;
}

/** A group in simulated time, on a network that loses nothing; the last member writes. */
export class SimulatedMembers {
  /** Simulated milliseconds until each was in every other's view. */
  readonly formedMs: number;
  readonly simulator: Simulator;
  readonly #members: readonly Member[];
  readonly #traffic = { beats: { packets: 0, bytes: 0 }, writes: { packets: 0, bytes: 0 } };
  #ended = 0;

  /** So many of them acknowledge, the first ones. */
  constructor(members: number, acknowledge: number) {
    this.simulator = new Simulator({ seed: 7 });
    const clusterKey = this.simulator.random.bytes(32);
    this.simulator.network.tap = (bytes) => {
      const { beats, writes } = this.#traffic;
      const traffic = bytes[1] === SegmentKind.heartbeat ? beats : writes;
      traffic.packets += 1;
      traffic.bytes += bytes.length + IP_AND_UDP_BYTES;
    };
    this.#members = Array.from({ length: members }, (_, index) =>
      this.#start(`member-${index + 1}`, clusterKey, index < acknowledge),
    );
    const formed = () => this.#members.every(({ group }) => group.members.length === members - 1);
    this.formedMs = this.#until(formed, FORMS_WITHIN_MS, 'the group forms');
  }

  get members(): readonly Group[] {
    return this.#members.map(({ group }) => group);
  }

  /** Of data, acknowledgements and requests; and of heartbeats. */
  get traffic(): { readonly writes: Traffic; readonly beats: Traffic } {
    const { writes, beats } = this.#traffic;
    return { writes: { ...writes }, beats: { ...beats } };
  }

  /** Until all who acknowledge have applied it: simulated milliseconds. */
  write(bytes: Uint8Array): number {
    const until = this.#ended + 1;
    this.#send(bytes);
    return this.#until(() => this.#ended >= until, WRITTEN_WITHIN_MS, 'a write');
  }

  /** So many, of a writer that always has more: simulated milliseconds. */
  press(count: number, bytes: Uint8Array): number {
    const until = this.#ended + count;
    const queueBytes = 64 * 1_400;
    const { outbound } = this.#writer.group;
    const pressed = () => {
      while (outbound.queueBytes < queueBytes) this.#send(bytes);
      return this.#ended >= until;
    };
    return this.#until(pressed, WRITTEN_WITHIN_MS, 'writes under load');
  }

  get #writer(): Member {
    const writer = this.#members.at(-1);
    if (!writer) throw new BenchError('run', 'a group of nobody');
    return writer;
  }

  #send(bytes: Uint8Array): void {
    const { driver, group } = this.#writer;
    const ticket = driver.run((now) => group.send(bytes, now));
    if (ticket === undefined) throw new BenchError('run', 'a write was refused');
  }

  #until(condition: () => boolean, boundMs: number, what: string): number {
    const from = this.simulator.now;
    if (this.simulator.runUntil(condition, boundMs)) return this.simulator.now - from;
    throw new BenchError('run', `${what}: not within ${boundMs} ms`);
  }

  #start(name: string, clusterKey: Uint8Array, acknowledges: boolean): Member {
    const host = this.simulator.host(name);
    host.limits = LIMITS;
    const group = new Group({
      ...{ name, clusterKey, members: [], segmentBytes: 1_400, transport: 'auto', acknowledges },
      random: (sizeBytes) => host.random(sizeBytes),
      note: () => new Uint8Array(0),
    });
    const driver = new Driver<GroupEvent>(host, group, {
      event: (event) => {
        if (event.kind === 'ended') {
          if (event.outcome !== 'replicated')
            throw new BenchError('run', `a write: ${event.outcome}`);
          this.#ended += 1;
        } else if (event.kind === 'gone') throw new BenchError('run', `${name} lost a member`);
      },
      opened: (own) => driver.run((now) => group.open(own, now)),
      failed: (error) => {
        throw error;
      },
      unsent: () => undefined,
    });
    driver.start({
      group: GROUP,
      interfaceAddress: host.address,
      ownPort: OWN_PORT,
      linkKeys: () => group.keyring.linkKeys,
      multicastTtl: 1,
    });
    return { group, driver };
  }
}
