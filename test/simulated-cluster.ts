import { Cache } from '@argyle/cache';
import { Driver, type Endpoint } from '@argyle/host';
import { EXCLUSION_MS, type Transport } from '@argyle/multicast';
import { Replica, type ReplicaEvent } from '@argyle/replica';
import { type NetworkFaults, type SimulatedHost, Simulator } from '@argyle/simulator';
import { Checker } from './checker.ts';
import { RareEvents } from './rare-events.ts';

const GROUP = { address: '239.192.0.1', port: 13_080 };
const OWN_PORT = 13_081;
export const TABLE = 1;
export const TOMBSTONE_SKEW_MS = 5_000;
/** So often a cluster is asked whether it has settled. */
const SETTLE_STEP_MS = 5;

/** One life of a member: from its start to its crash. */
export interface Life {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly replica: Replica;
  readonly driver: Driver<ReplicaEvent>;
  readonly log: string[];
  readonly startedAt: number;
  /** Of the second tier. */
  readonly listens: boolean;
  /** Tasks that its host has run. */
  steps: number;
  alive: boolean;
  /** Since when its process stands still; Infinity while it runs. */
  pausedAt: number;
  /** When it went on last. */
  resumedAt: number;
}

/** A cluster of replicas under one seed, watched by a checker after every step. */
export class SimulatedCluster {
  readonly simulator: Simulator;
  readonly checker: Checker;
  readonly rare: RareEvents;
  readonly lives = new Map<string, Life>();
  readonly names: string[] = [];
  readonly #clusterKey: Uint8Array;
  readonly #capacityBytes: number;

  readonly #plant: (replica: Replica) => void;
  /** By host; `auto` for those that are not named. */
  readonly transports = new Map<string, Transport>();
  /** Hosts whose members acknowledge nothing. */
  readonly listeners = new Set<string>();
  /** Where members may be, told to those that start from now on. */
  endpoints: readonly Endpoint[] = [];

  constructor(options: {
    seed: number;
    faults?: Partial<NetworkFaults>;
    capacityBytes?: number;
    /** Breaks every replica, to see that the checker notices. */
    plant?: (replica: Replica) => void;
  }) {
    this.#plant = options.plant ?? (() => undefined);
    this.simulator = new Simulator({ seed: options.seed, faults: options.faults ?? {} });
    this.#clusterKey = this.simulator.random.bytes(32);
    this.#capacityBytes = options.capacityBytes ?? 4 * 1024 * 1024;
    this.checker = new Checker(this);
    this.rare = new RareEvents(this);
  }

  /** On the host of that name; `memberName` where another host bears the member's name as well. */
  start(name: string, memberName = name): Life {
    const host = this.simulator.host(name);
    const transport = this.transports.get(name) ?? 'auto';
    const listens = this.listeners.has(name);
    const random = (sizeBytes: number) => host.random(sizeBytes);
    const replica = new Replica(
      (digestKey) =>
        new Cache({
          capacityBytes: this.#capacityBytes,
          segmentBytes: 128 * 1024,
          digestKey,
          random,
          tombstoneSkewMs: TOMBSTONE_SKEW_MS,
        }),
      {
        ...{ name: memberName, clusterKey: this.#clusterKey, random, segmentBytes: 1400 },
        ...{ members: this.endpoints, transport, acknowledges: !listens },
      },
    );
    const log: string[] = [];
    const driver = new Driver<ReplicaEvent>(host, replica, {
      event: (event) => {
        log.push(`${this.simulator.now.toFixed(1)} ${describe(event)}`);
        this.checker.observe(life, event);
        this.rare.observe(life, event);
        if (event.kind === 'refused') this.crash(name);
      },
      opened: (own) => driver.run((now) => replica.open(own, now)),
      failed: (error) => {
        throw error;
      },
      unsent: () => undefined,
    });
    const life: Life = {
      name,
      host,
      replica,
      driver,
      log,
      listens,
      startedAt: this.simulator.now,
      steps: 0,
      alive: true,
      pausedAt: Infinity,
      resumedAt: 0,
    };
    this.#plant(replica);
    this.#listen(life);
    this.rare.started(life);
    if (!this.names.includes(name)) this.names.push(name);
    this.lives.set(name, life);
    driver.start({
      group: transport === 'unicast' ? undefined : GROUP,
      interfaceAddress: host.address,
      ownPort: OWN_PORT,
      linkKeys: () => replica.group.keyring.linkKeys,
      multicastTtl: 1,
    });
    return life;
  }

  /** Says good-bye, and ends. */
  leave(name: string): void {
    const life = this.life(name);
    if (!life.alive || life.pausedAt < Infinity) return;
    life.driver.run(() => life.replica.group.leave());
    this.rare.count('left');
    this.crash(name);
  }

  crash(name: string): void {
    const life = this.life(name);
    this.rare.crashed(life);
    life.alive = false;
    life.driver.close();
    life.host.crash();
    this.checker.crashed(life);
  }

  pause(name: string): void {
    const life = this.life(name);
    life.host.pause();
    life.pausedAt = Math.min(life.pausedAt, this.simulator.now);
  }

  resume(name: string): void {
    const life = this.life(name);
    if (life.pausedAt === Infinity) return;
    const stoodStill = this.simulator.now - life.pausedAt > EXCLUSION_MS;
    if (stoodStill) this.checker.stoodStill(life);
    this.rare.resumed(stoodStill);
    life.pausedAt = Infinity;
    life.resumedAt = this.simulator.now;
    life.host.resume();
  }

  partition(...parts: string[][]): void {
    this.simulator.network.partition(parts, this.names);
    this.rare.partitioned();
  }

  cut(from: string, to: string): void {
    this.simulator.network.cut(from, to);
    this.rare.count('cut one way');
  }

  cutMulticast(from: string, to: string): void {
    this.simulator.network.cutMulticast(from, to);
    this.rare.count('multicast cut');
  }

  /** The switch does not know that it is in the group, until it joins anew. */
  forget(name: string): void {
    this.simulator.network.forget(name);
    this.rare.count('forgotten');
  }

  /** From now on members are told where others may be, as by DNS. */
  tellEndpoints(names: readonly string[]): void {
    this.endpoints = names.map((name) => {
      return { address: this.simulator.host(name).address, port: OWN_PORT };
    });
  }

  skewClock(name: string, skewMs: number): void {
    this.life(name).host.skewClock(skewMs);
    this.rare.count('clock skewed');
  }

  heal(): void {
    this.simulator.network.heal();
    this.rare.healed();
  }

  add(name: string, key: string, value: string, lifeMs = 600_000): void {
    this.#write(name, key, (life, now) => {
      const expiresAt = life.replica.wall(now) + lifeMs;
      const record = { table: TABLE, key: Buffer.from(key), value: Buffer.from(value), expiresAt };
      return life.replica.put([record], now);
    });
  }

  remove(name: string, key: string): void {
    this.#write(name, key, (life, now) => life.replica.remove(TABLE, Buffer.from(key), now));
  }

  purge(name: string): void {
    this.#write(name, undefined, (life, now) => life.replica.purge(now));
    this.rare.purged();
  }

  read(name: string, key: string): string | undefined {
    const { replica } = this.life(name);
    const hit = replica.cache.get(TABLE, Buffer.from(key), replica.wall(this.simulator.now));
    return hit && Buffer.from(hit.value).toString();
  }

  life(name: string): Life {
    const life = this.lives.get(name);
    if (!life) throw new Error(`no ${name}`);
    return life;
  }

  get alive(): Life[] {
    return [...this.lives.values()].filter(({ alive }) => alive);
  }

  run(durationMs: number): void {
    this.simulator.run(durationMs, (host) => this.#step(host));
  }

  /** Runs until all who live are ready, in one view, no write is under way, and replicas equal. */
  settle(boundMs: number): boolean {
    const end = this.simulator.now + boundMs;
    while (!this.settled) {
      if (this.simulator.now >= end) return false;
      this.run(SETTLE_STEP_MS);
    }
    return true;
  }

  get settled(): boolean {
    if (this.checker.waiting > 0) return false;
    const lives = this.alive;
    const incarnations = lives.map(({ replica }) => replica.group.incarnation).sort();
    const digests = () => new Set(lives.map(({ replica }) => hex(replica.cache.digest())));
    return (
      lives.every(({ replica }) => {
        const { group } = replica;
        const view = [group.incarnation, ...group.members.map((peer) => peer.incarnation)].sort();
        const idle = group.outbound.acknowledged === group.outbound.sequence;
        return replica.state === 'ready' && idle && view.join() === incarnations.join();
      }) && digests().size <= 1
    );
  }

  /** Also to what a group hands its replica, which no event tells. */
  #listen(life: Life): void {
    const { group } = life.replica;
    const send = group.send.bind(group);
    group.send = (message, now) => {
      const ticket = send(message, now);
      if (ticket !== undefined) this.checker.sent(life, message);
      return ticket;
    };
    const pollEvent = group.pollEvent.bind(group);
    group.pollEvent = () => {
      const event = pollEvent();
      if (event?.kind === 'message') this.checker.handed(life, event.from, event.message);
      else if (event?.kind === 'missed') this.checker.missed(life, event.peer);
      return event;
    };
  }

  #step(host: string | undefined): void {
    const life = host === undefined ? undefined : this.lives.get(host);
    if (!life?.alive) return;
    this.checker.step(life);
    this.rare.step(life);
  }

  #write(
    name: string,
    keyText: string | undefined,
    start: (life: Life, now: number) => ReturnType<Replica['put']>,
  ): void {
    const life = this.life(name);
    if (!life.alive) return;
    life.host.perform(() =>
      life.driver.run((now) => {
        const { cache } = life.replica;
        const key = keyText === undefined ? undefined : Buffer.from(keyText);
        const held = () => cache.get(TABLE, key ?? Buffer.alloc(0), life.replica.wall(now));
        const before = held();
        const after = life.replica.group.outbound.sequence;
        const started = start(life, now);
        if (!('ticket' in started)) return;
        // A delete may be forgotten once what it deletes would have expired.
        const deletes = held() === undefined;
        const expiresAt = (held() ?? before)?.expiresAt ?? Infinity;
        const version = (key && cache.version(TABLE, key)) ?? cache.purgeEpoch;
        this.checker.wrote({
          life,
          author: life.replica.group.incarnation,
          ticket: started.ticket,
          key,
          version,
          after,
          expiresAt,
          deletes,
          startedAt: this.simulator.now,
        });
        this.rare.wrote(life);
      }),
    );
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function describe(event: ReplicaEvent): string {
  if (event.kind === 'joined') return `joined ${event.peer.beat?.name}`;
  if (event.kind === 'gone') return `gone ${event.peer.beat?.name} ${event.reason}`;
  return JSON.stringify(event);
}
