import type { Passage } from '@argyle/simulator';
import { decodeAcknowledgement } from '../src/acknowledgement.ts';
import { decodeData } from '../src/data.ts';
import { decodeHeartbeat, type Entry } from '../src/heartbeat.ts';
import { Keyring, type OpenedSegment } from '../src/keyring.ts';
import { decodeRequest } from '../src/request.ts';
import { kindName, SegmentKind } from '../src/segment.ts';
import type { Member, SimulatedGroup } from './simulated-group.ts';

export interface TraceOptions {
  /** What the trace shows, as the first lines of its file. */
  readonly about: readonly string[];
  /** Heartbeats are left out when they say nothing that the scenario is about. */
  readonly heartbeats: boolean;
}

/** Is that segment lost on its way to that member? */
export type Loses = (segment: OpenedSegment, to: string) => boolean;

/**
 * A scenario as text: every segment once as it is sent, opened with the cluster's key; on whose way
 * it was lost; and what the members made of it. Times are milliseconds since the trace began.
 */
export class Trace {
  loses: Loses = () => false;
  readonly #group: SimulatedGroup;
  readonly #keyring: Keyring;
  readonly #options: TraceOptions;
  readonly #lines: string[] = [];
  readonly #names = new Map<string, string>();
  /** How much of a member's events and messages was told. */
  readonly #told = new Map<Member, { events: number; messages: number; ended: number }>();
  readonly #beganAt: number;
  #sending: Uint8Array | undefined;

  constructor(group: SimulatedGroup, options: TraceOptions) {
    this.#group = group;
    this.#options = options;
    this.#keyring = new Keyring(group.clusterKey);
    this.#beganAt = group.simulator.now;
    for (const member of group.members.values()) this.#told.set(member, countsOf(member));
    group.simulator.network.script = (passage) => this.#pass(passage);
  }

  run(durationMs: number): void {
    this.#group.simulator.run(durationMs, () => this.#tellEvents());
  }

  /** What the scenario does itself. */
  says(what: string): void {
    this.#line(what);
  }

  text(): string {
    const about = this.#options.about.map((line) => `# ${line}\n`);
    return `${about.join('')}\n${this.#lines.join('\n')}\n`;
  }

  #line(what: string): void {
    const at = (this.#group.simulator.now - this.#beganAt).toFixed(2);
    this.#lines.push(`${at.padStart(8)}  ${what}`);
  }

  #pass({ bytes, from, to, channel }: Passage): boolean {
    const segment = this.#keyring.open(
      bytes,
      { address: from, port: 0 },
      this.#group.simulator.now,
    );
    if (typeof segment === 'string') throw new Error(segment);
    if (segment.kind === SegmentKind.heartbeat && !this.#options.heartbeats) return false;
    const sealedBy = this.#names.get(segment.incarnation) ?? from;
    this.#names.set(segment.incarnation, sealedBy);
    if (bytes !== this.#sending) {
      this.#sending = bytes;
      const kind = kindName(segment.kind)?.toUpperCase();
      this.#line(
        `${from} > ${channel === 'group' ? 'all' : to === from ? 'itself' : to}: ${kind} ${this.#body(segment)}${sealedBy === from ? '' : `, as ${sealedBy} sealed it`}`,
      );
    }
    const lost = this.loses(segment, to);
    if (lost) this.#line(`    lost on its way to ${to === from ? 'itself' : to}`);
    return lost;
  }

  #body({ kind, body }: OpenedSegment): string {
    if (kind === SegmentKind.data) {
      const data = decodeData(body);
      const items = data?.items.map(({ bytes }) => JSON.stringify(Buffer.from(bytes).toString()));
      return `${data?.sequence} ${items?.join(' ')}${data?.urgent ? ', urgent' : ''}${data?.echoOf ? ', asks for an echo' : ''}`;
    }
    if (kind === SegmentKind.acknowledgement) {
      const ack = decodeAcknowledgement(body);
      const gaps = ack?.gaps.map(({ first, count }) => `, lacks ${spanOf(first, count)}`);
      return `received ${ack?.received}, applied ${ack?.applied}${gaps?.join('')}`;
    }
    if (kind === SegmentKind.request) {
      const request = decodeRequest(body);
      const gaps = request?.gaps.map(({ first, count }) => spanOf(first, count));
      const name = (incarnation = '') => this.#names.get(incarnation) ?? 'a stranger';
      return `asks ${name(request?.asked)} for ${gaps?.join(', ')} of ${name(request?.stream)}`;
    }
    const beat = kind === SegmentKind.heartbeat ? decodeHeartbeat(body) : undefined;
    if (!beat) return '';
    const entries = beat.entries.map((entry) => this.#entry(entry));
    return [`sent ${beat.highest}`, ...entries].join('; ');
  }

  #entry({ incarnation, state, joinedAt, received, applied, heard }: Entry): string {
    const name = this.#names.get(incarnation) ?? 'a stranger';
    const ways = [
      ...(heard.multicast ? ['by multicast'] : []),
      ...(heard.unicast ? ['by unicast'] : []),
      ...(heard.wantsUnicast ? ['wants unicast'] : []),
    ].join(', ');
    if (state !== 'member') return `${name} ${state} ${ways}`;
    return `${name} member after ${joinedAt}, received ${received}, applied ${applied}, ${ways}`;
  }

  #tellEvents(): void {
    for (const [name, member] of this.#group.members) {
      const told = this.#told.get(member) ?? { events: 0, messages: 0, ended: 0 };
      const counts = countsOf(member);
      this.#told.set(member, counts);
      for (const message of member.messages.slice(told.messages)) {
        this.#line(`    ${name} applies ${JSON.stringify(message)}`);
      }
      for (const event of member.events.slice(told.events)) {
        if (event.kind === 'joined') this.#line(`    ${name} admits ${event.peer.beat?.name}`);
        else if (event.kind === 'rejoined') this.#line(`    ${name} joins the group anew`);
        else if (event.kind === 'heard') {
          this.#line(`    ${name} is to be reached by ${event.by} by ${event.peer.beat?.name}`);
        } else if (event.kind === 'gone') {
          this.#line(`    ${name} excludes ${event.peer.beat?.name}: ${event.reason}`);
        } else if (event.kind === 'link' && event.event.kind === 'up') {
          this.#line(`    ${name} has a link to ${this.#names.get(event.event.peer)}`);
        }
      }
      for (const [ticket, outcome] of [...member.ended].slice(told.ended)) {
        this.#line(`    ${name}: write ${ticket} ${outcome}`);
      }
    }
  }
}

function spanOf(first: number, count: number): string {
  return count > 1 ? `${first} to ${first + count - 1}` : `${first}`;
}

function countsOf({ events, messages, ended }: Member) {
  return { events: events.length, messages: messages.length, ended: ended.size };
}
