import type { Channel, Endpoint } from '@argyle/host';
import type { HostLimits, Line } from './limits.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

/** Each fault is one option; all are off by default but the delay. */
export interface NetworkFaults {
  /** Share of datagrams that are lost, for each receiver by itself. */
  loss: number;
  /** Share of a sender's own multicast copies that are lost. */
  ownLoss: number;
  /** Share of datagrams that arrive twice, the copy with a delay of its own. */
  duplicate: number;
  /** For each datagram: the chance that an old one, of whomever, is sent again to its receiver. */
  replay: number;
  /** Every datagram takes this long at least… */
  delayMinMs: number;
  /** …and this much more on average (exponential), so that datagrams overtake each other. */
  delayMeanMs: number;
  /** A process that is dying still takes connections for so long, and resets them. */
  dyingMs: number;
}

const QUIET: NetworkFaults = {
  loss: 0,
  ownLoss: 0,
  duplicate: 0,
  replay: 0,
  delayMinMs: 0.05,
  delayMeanMs: 0.1,
  dyingMs: 0,
};

/** Who replays remembers so many datagrams; a new one takes the place of any. */
const RECORDING_MAX = 512;
/** Whence half of the replays come; the others bear the address of their first sender. */
const STRANGER: Endpoint = { address: '198.18.255.255', port: 9 };

interface Datagram {
  readonly bytes: Uint8Array;
  readonly from: Endpoint;
  readonly channel: Channel;
}

/**
 * Why a datagram did not arrive: `chance` and `script` on the way, `cut` by a partition, `egress`
 * or `ingress` before a full line, `unread` in a full socket.
 */
export type LossCause = 'chance' | 'script' | 'cut' | 'egress' | 'ingress' | 'unread';

/** A datagram on its way to one receiver. */
export interface Passage {
  readonly bytes: Uint8Array;
  /** Names of hosts. */
  readonly from: string;
  readonly to: string;
  readonly channel: Channel;
}

/** What is attached to a network. */
export interface NetworkPort {
  readonly own: Endpoint;
  /** Undefined: it neither sends nor hears multicast. */
  readonly group: Endpoint | undefined;
  readonly host: {
    readonly name: string;
    readonly limits: HostLimits;
    readonly egress: Line;
    readonly ingress: Line;
  };
  /** False when there was no room for it. */
  deliver(bytes: Uint8Array, from: Endpoint, channel: Channel): boolean;
}

/** Datagrams between ports, and who can reach whom. */
export class Network<Attached extends NetworkPort = NetworkPort> {
  faults: NetworkFaults;
  /** Sees every datagram once as it is sent, before any fault. */
  tap: ((bytes: Uint8Array) => void) | undefined;
  /** Sees everything that was lost. */
  lost: ((passage: Passage, cause: LossCause) => void) | undefined;
  /** Loses what it says, before chance has its turn. */
  script: ((passage: Passage) => boolean) | undefined;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #ports = new Set<Attached>();
  readonly #cuts = new Set<string>();
  /** Where multicast alone is cut. */
  readonly #snooped = new Set<string>();
  /** Hosts of which the switch has forgotten that they are in the group. */
  readonly #forgotten = new Set<string>();
  /** Until when the endpoint of a dead process takes connections. */
  readonly #dying = new Map<string, number>();
  readonly #recording: Datagram[] = [];

  constructor(schedule: Schedule, random: Random, faults: Partial<NetworkFaults>) {
    this.#schedule = schedule;
    this.#random = random;
    this.faults = { ...QUIET, ...faults };
  }

  /** Hosts in different parts hear nothing of each other; a host not named is on its own. */
  partition(parts: readonly (readonly string[])[], hosts: readonly string[]): void {
    this.#cuts.clear();
    const partOf = (host: string) => parts.findIndex((part) => part.includes(host));
    for (const from of hosts) {
      for (const to of hosts) {
        if (from !== to && (partOf(from) !== partOf(to) || partOf(from) < 0)) this.cut(from, to);
      }
    }
  }

  /** One direction only. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  /** One direction, and multicast only, whatever is joined. */
  cutMulticast(from: string, to: string): void {
    this.#snooped.add(`${from}>${to}`);
  }

  /** No multicast of others reaches that host, until it joins its group anew. */
  forget(host: string): void {
    this.#forgotten.add(host);
  }

  rejoin(host: string): void {
    this.#forgotten.delete(host);
  }

  heal(): void {
    this.#cuts.clear();
    this.#snooped.clear();
    this.#forgotten.clear();
  }

  reaches(from: string, to: string): boolean {
    return !this.#cuts.has(`${from}>${to}`);
  }

  attach(port: Attached): void {
    this.#ports.add(port);
  }

  detach(port: Attached): void {
    if (!this.#ports.delete(port)) return;
    const endpoint = `${port.own.address}:${port.own.port}`;
    this.#dying.set(endpoint, this.#schedule.now + this.faults.dyingMs);
  }

  isDying({ address, port }: Endpoint): boolean {
    return (this.#dying.get(`${address}:${port}`) ?? -1) > this.#schedule.now;
  }

  portAt(endpoint: Endpoint): Attached | undefined {
    for (const port of this.#ports) {
      if (port.own.address === endpoint.address && port.own.port === endpoint.port) return port;
    }
    return undefined;
  }

  delay(): number {
    return this.faults.delayMinMs + this.#random.exponential(this.faults.delayMeanMs);
  }

  multicast(from: Attached, bytes: Uint8Array): void {
    const { group } = from;
    if (!group) return;
    this.tap?.(bytes);
    const egressMs = this.#egressMs(from, bytes);
    const datagram = { bytes: new Uint8Array(bytes), from: from.own, channel: 'group' as const };
    for (const to of this.#ports) {
      if (to.group?.address !== group.address || to.group.port !== group.port) continue;
      this.#send(from, to, datagram, egressMs);
    }
  }

  unicast(from: Attached, bytes: Uint8Array, endpoint: Endpoint): void {
    this.tap?.(bytes);
    const to = this.portAt(endpoint);
    const egressMs = to === from ? 0 : this.#egressMs(from, bytes);
    const datagram = { bytes: new Uint8Array(bytes), from: from.own, channel: 'own' as const };
    if (to) this.#send(from, to, datagram, egressMs);
  }

  #egressMs({ host }: Attached, { length }: Uint8Array): number | undefined {
    const { egressBytesPerMs, egressQueueBytes } = host.limits;
    return host.egress.pass(this.#schedule.now, length, egressBytesPerMs, egressQueueBytes);
  }

  #send(from: Attached, to: Attached, datagram: Datagram, egressMs: number | undefined): void {
    const { loss, ownLoss, duplicate, replay } = this.faults;
    const { bytes, channel } = datagram;
    const passage = { bytes, from: from.host.name, to: to.host.name, channel };
    if (replay > 0) this.#replay(to, datagram);
    if (this.script?.(passage)) return this.lost?.(passage, 'script');
    if (this.#random.chance(from === to ? ownLoss : loss)) return this.lost?.(passage, 'chance');
    if (from === to) return this.#deliver(to, datagram, passage, 0);
    if (egressMs === undefined) return this.lost?.(passage, 'egress');
    this.#deliver(to, datagram, passage, egressMs);
    if (this.#random.chance(duplicate)) this.#deliver(to, datagram, passage, egressMs);
  }

  #replay(to: Attached, heard: Datagram): void {
    const kept = this.#random.below(RECORDING_MAX);
    this.#recording[Math.min(kept, this.#recording.length)] = heard;
    if (!this.#random.chance(this.faults.replay)) return;
    const old = this.#random.pick(this.#recording);
    const from = this.#random.chance(0.5) ? old.from : STRANGER;
    const passage = { bytes: old.bytes, from: '', to: to.host.name, channel: old.channel };
    this.#deliver(to, { ...old, from }, passage, 0);
  }

  #deliver(to: Attached, datagram: Datagram, passage: Passage, egressMs: number): void {
    this.#schedule.after(egressMs + this.delay(), () => {
      if (!this.#ports.has(to)) return;
      if (!this.#passes(passage)) return this.lost?.(passage, 'cut');
      const { ingressBytesPerMs: rate, ingressQueueBytes } = to.host.limits;
      if (rate === Infinity || passage.from === passage.to)
        return this.#arrive(to, datagram, passage);
      const { length } = datagram.bytes;
      const ingressMs = to.host.ingress.pass(this.#schedule.now, length, rate, ingressQueueBytes);
      if (ingressMs === undefined) return this.lost?.(passage, 'ingress');
      this.#schedule.after(ingressMs, () => this.#arrive(to, datagram, passage));
    });
  }

  #passes({ from, to, channel }: Passage): boolean {
    if (!this.reaches(from, to)) return false;
    if (channel === 'own' || from === to) return true;
    return !this.#snooped.has(`${from}>${to}`) && !this.#forgotten.has(to);
  }

  /** Each receiver has a copy of its own. */
  #arrive(to: Attached, { bytes, from, channel }: Datagram, passage: Passage): void {
    if (!this.#ports.has(to)) return;
    if (!to.deliver(new Uint8Array(bytes), from, channel)) this.lost?.(passage, 'unread');
  }
}
