import { Driver } from '@argyle/host';
import { type SimulatedHost, Simulator, type SimulatorOptions } from '@argyle/simulator';
import { Group } from '../src/group.ts';
import type { GroupEvent } from '../src/group-event.ts';
import type { GroupOptions } from '../src/options.ts';

export interface Member {
  readonly host: SimulatedHost;
  readonly group: Group;
  readonly driver: Driver<GroupEvent>;
  readonly messages: string[];
  readonly events: GroupEvent[];
  readonly ended: Map<number, string>;
}

export const GROUP_ENDPOINT = { address: '239.192.0.1', port: 13_080 };
export const OWN_PORT = 13_081;

/** Verbs for scenarios of groups in the simulator. */
export class SimulatedGroup {
  readonly simulator: Simulator;
  readonly members = new Map<string, Member>();
  readonly clusterKey: Uint8Array;

  constructor(options: SimulatorOptions) {
    this.simulator = new Simulator(options);
    this.clusterKey = this.simulator.random.bytes(32);
  }

  start(name: string, options: Partial<GroupOptions> = {}, at = name): Member {
    const host = this.simulator.host(at);
    const group = new Group({
      name,
      clusterKey: this.clusterKey,
      random: (sizeBytes) => host.random(sizeBytes),
      members: [],
      segmentBytes: 1400,
      transport: 'auto',
      note: () => new Uint8Array(0),
      ...options,
    });
    const messages: string[] = [];
    const events: GroupEvent[] = [];
    const ended = new Map<number, string>();
    const driver = new Driver<GroupEvent>(host, group, {
      event: (event) => {
        if (event.kind === 'message') messages.push(Buffer.from(event.message).toString());
        else if (event.kind === 'ended') ended.set(event.ticket, event.outcome);
        else events.push(event);
      },
      opened: (own) => driver.run((now) => group.open(own, now)),
      failed: (error) => {
        throw error;
      },
      unsent: () => undefined,
    });
    driver.start({
      group: options.transport === 'unicast' ? undefined : GROUP_ENDPOINT,
      interfaceAddress: host.address,
      ownPort: OWN_PORT,
      linkKeys: () => group.keyring.linkKeys,
      multicastTtl: 1,
    });
    const member = { host, group, driver, messages, events, ended };
    this.members.set(at, member);
    return member;
  }

  /** Starts them and runs until all are in one view. */
  assemble(...names: string[]): Member[] {
    return this.assembleWith({}, ...names);
  }

  assembleWith(options: Partial<GroupOptions>, ...names: string[]): Member[] {
    const members = names.map((name) => this.start(name, options));
    this.until(() => members.every(({ group }) => group.members.length === names.length - 1));
    return members;
  }

  send(member: Member, text: string): number {
    const ticket = member.driver.run((now) => member.group.send(Buffer.from(text), now));
    if (ticket === undefined) throw new Error('refused');
    return ticket;
  }

  until(condition: () => boolean, boundMs = 10_000): void {
    if (!this.simulator.runUntil(condition, boundMs)) throw new Error(`not in ${boundMs} ms`);
  }

  view(member: Member): string[] {
    return member.group.members.map(({ beat }) => beat?.name ?? '?').sort();
  }

  /** Which ways others' multicasts have taken to it, as it decided. */
  ways(member: Member): string[] {
    return member.events.flatMap((event) => {
      if (event.kind === 'rejoined') return ['rejoined'];
      return event.kind === 'heard' ? [`${event.peer.beat?.name} by ${event.by}`] : [];
    });
  }

  gone(member: Member): string[] {
    return member.events.flatMap((event) =>
      event.kind === 'gone' ? [`${event.peer.beat?.name} ${event.reason}`] : [],
    );
  }
}
