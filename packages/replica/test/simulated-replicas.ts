import { Cache } from '@argyle/cache';
import { Driver } from '@argyle/host';
import { type SimulatedHost, Simulator, type SimulatorOptions } from '@argyle/simulator';
import { Replica, type ReplicaEvent } from '../src/replica.ts';

export const TABLE = 1;

export interface Member {
  readonly host: SimulatedHost;
  readonly replica: Replica;
  readonly driver: Driver<ReplicaEvent>;
  readonly events: ReplicaEvent[];
}

/** Verbs for scenarios of replicas in the simulator. */
export class SimulatedReplicas {
  readonly simulator: Simulator;
  readonly #clusterKey: Uint8Array;

  constructor(options: SimulatorOptions) {
    this.simulator = new Simulator(options);
    this.#clusterKey = this.simulator.random.bytes(32);
  }

  start(name: string): Member {
    const host = this.simulator.host(name);
    const random = (sizeBytes: number) => host.random(sizeBytes);
    const replica = new Replica(
      (digestKey) =>
        new Cache({ capacityBytes: 16 * 1024 * 1024, digestKey, random, tombstoneSkewMs: 5_000 }),
      {
        ...{ name, clusterKey: this.#clusterKey, random, members: [] },
        ...{ segmentBytes: 1400, transport: 'auto' },
      },
    );
    const events: ReplicaEvent[] = [];
    const driver = new Driver<ReplicaEvent>(host, replica, {
      event: (event) => events.push(event),
      opened: (own) => driver.run((now) => replica.open(own, now)),
      failed: (error) => {
        throw error;
      },
      unsent: () => undefined,
    });
    driver.start({
      group: { address: '239.192.0.1', port: 13_080 },
      interfaceAddress: host.address,
      ownPort: 13_081,
      linkKeys: () => replica.group.keyring.linkKeys,
      multicastTtl: 1,
    });
    return { host, replica, driver, events };
  }

  assemble(...names: string[]): Member[] {
    const members = names.map((name) => this.start(name));
    this.until(() => members.every(({ replica }) => replica.state === 'ready'));
    return members;
  }

  add(member: Member, key: string, value: string, lifeMs = 600_000): number {
    return ticketOf(
      member.driver.run((now) => {
        const expiresAt = member.replica.wall(now) + lifeMs;
        const record = {
          table: TABLE,
          key: Buffer.from(key),
          value: Buffer.from(value),
          expiresAt,
        };
        return member.replica.put([record], now);
      }),
    );
  }

  remove(member: Member, key: string): number {
    return ticketOf(
      member.driver.run((now) => member.replica.remove(TABLE, Buffer.from(key), now)),
    );
  }

  purge(member: Member): number {
    return ticketOf(member.driver.run((now) => member.replica.purge(now)));
  }

  read(member: Member, key: string): string | undefined {
    const { cache } = member.replica;
    const hit = cache.get(TABLE, Buffer.from(key), member.replica.wall(this.simulator.now));
    return hit && Buffer.from(hit.value).toString();
  }

  /** How a write ended, once it has. */
  outcome(member: Member, ticket: number): string | undefined {
    for (const event of member.events) {
      if (event.kind === 'ended' && event.ticket === ticket) return event.outcome;
    }
    return undefined;
  }

  equal(members: readonly Member[]): boolean {
    const digests = members.map(({ replica }) =>
      Buffer.from(replica.cache.digest()).toString('hex'),
    );
    return new Set(digests).size === 1;
  }

  until(condition: () => boolean, boundMs = 10_000): void {
    if (!this.simulator.runUntil(condition, boundMs)) throw new Error(`not in ${boundMs} ms`);
  }
}

function ticketOf(start: ReturnType<Replica['put']>): number {
  if ('ticket' in start) return start.ticket;
  throw new Error(start.refused);
}
