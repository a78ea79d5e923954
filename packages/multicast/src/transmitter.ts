import type { Endpoint, Output } from '@argyle/host';
import type { Counters } from './counters.ts';
import type { Way } from './hearing.ts';
import type { Keyring } from './keyring.ts';
import type { Transport } from './options.ts';
import type { Peer } from './peer.ts';
import { kindName } from './segment.ts';

/**
 * Seals what leaves, and chooses its ways (PROTOCOL.md, "Transports"). A transmission is sealed
 * once: those whom multicast reaches share one multicast, and each other gets the very same bytes
 * by unicast, under the same packet number.
 */
export class Transmitter {
  readonly transport: Transport;
  /** Where this member is; undefined before its sockets are open. */
  own: Endpoint | undefined;
  /** Its own multicasts come back. */
  hearsItself = false;
  readonly #keyring: Keyring;
  readonly #counters: Counters;
  readonly #outputs: Output[] = [];

  constructor(keyring: Keyring, counters: Counters, transport: Transport) {
    this.#keyring = keyring;
    this.#counters = counters;
    this.transport = transport;
  }

  /** By which way that member is reached: as configured, or as it asks. */
  wayTo(member: Peer): Way {
    if (this.transport !== 'auto') return this.transport;
    return member.hearsUs.wantsUnicast ? 'unicast' : 'multicast';
  }

  /**
   * A segment of the stream, for all of them. One multicast costs as much as one unicast, so it is
   * made for a single member too.
   */
  toAll(kind: number, body: Uint8Array, members: readonly Peer[]): void {
    this.#fanOutAndBack(kind, body, members, 1);
  }

  /** A repair for those: by multicast when two or more of them are reached so. */
  toSome(kind: number, body: Uint8Array, members: readonly Peer[]): void {
    this.#fanOutAndBack(kind, body, members, 2);
  }

  /** What another has sealed, as it came, for those: by multicast when two or more want it. */
  passOn(kind: number, bytes: Uint8Array, members: readonly Peer[]): void {
    this.#counters.passedOn += 1;
    this.#fanOut(kind, bytes, members, 2);
  }

  /** By multicast for strangers too, and by unicast to each member that it does not reach. */
  toEverybody(kind: number, body: Uint8Array, members: readonly Peer[]): void {
    const least = this.transport === 'unicast' ? Infinity : 0;
    this.#fanOut(kind, this.#keyring.seal(kind, body), members, least);
  }

  toOne(kind: number, body: Uint8Array, to: Endpoint): void {
    this.#unicast(kind, this.#keyring.seal(kind, body), to);
  }

  /** By multicast if that reaches it, so that others hear it too. */
  toOneAloud(kind: number, body: Uint8Array, member: Peer): void {
    if (this.wayTo(member) === 'unicast') this.toOne(kind, body, member.endpoint);
    else this.#multicast(kind, this.#keyring.seal(kind, body));
  }

  /** To each by unicast, the same bytes. */
  toEach(kind: number, body: Uint8Array, endpoints: readonly Endpoint[]): void {
    if (endpoints.length === 0) return;
    const bytes = this.#keyring.seal(kind, body);
    for (const to of endpoints) this.#unicast(kind, bytes, to);
  }

  /** To whoever hears it, members or not. */
  toGroup(kind: number, body: Uint8Array): void {
    if (this.transport !== 'unicast') this.#multicast(kind, this.#keyring.seal(kind, body));
  }

  rejoin(): void {
    this.#outputs.push({ kind: 'rejoin' });
  }

  poll(): Output | undefined {
    return this.#outputs.shift();
  }

  /** What has not left yet never leaves. */
  clear(): void {
    this.#outputs.length = 0;
  }

  /**
   * Where multicast does not bring this member's own copy back, a loop-back copy does (FIG. 10, for
   * point-to-point messages).
   */
  #fanOutAndBack(kind: number, body: Uint8Array, members: readonly Peer[], least: number): void {
    const bytes = this.#keyring.seal(kind, body);
    const together = this.#fanOut(kind, bytes, members, least);
    if (this.own && !(together && this.hearsItself)) {
      this.#outputs.push({ kind: 'unicast', bytes, to: this.own });
    }
  }

  /** One multicast if so many are reached by it, and a unicast to each other. True if there was. */
  #fanOut(kind: number, bytes: Uint8Array, members: readonly Peer[], least: number): boolean {
    const alone = members.filter((member) => this.wayTo(member) === 'unicast');
    const together = members.length - alone.length >= least;
    if (together) this.#multicast(kind, bytes);
    for (const { endpoint } of together ? alone : members) this.#unicast(kind, bytes, endpoint);
    return together;
  }

  #multicast(kind: number, bytes: Uint8Array): void {
    this.#count(kind);
    this.#outputs.push({ kind: 'multicast', bytes });
  }

  #unicast(kind: number, bytes: Uint8Array, to: Endpoint): void {
    this.#count(kind);
    this.#outputs.push({ kind: 'unicast', bytes, to });
  }

  #count(kind: number): void {
    const name = kindName(kind);
    if (name) this.#counters.sent[name] += 1;
  }
}
