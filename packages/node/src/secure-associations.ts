import type { Cancel, Endpoint, Host, Log } from '@argyle/host';
import { NodeAssociations, type EndReason, type NodeEvent } from '@argyle/secure-udp';
import type { AssociationCounters } from './association-counters.ts';
import type { AssociationStore } from './association-store.ts';
import { ControlConnection } from './control-connection.ts';
import type { UdpRelay } from './udp-relay.ts';
import type { UdpRelays } from './udp-relays.ts';
import type { Users } from './users.ts';

export interface SecureAssociationsContext {
  readonly host: Host;
  readonly log: Log;
  /** Who this node is in records. */
  readonly name: string;
  readonly users: Pick<Users, 'groups'>;
  readonly store: AssociationStore;
  readonly relays: Pick<UdpRelays, 'open'>;
  readonly counters: AssociationCounters;
  /** Of a record's life: it is looked after four times in it. */
  readonly graceMs: number;
  /** The largest datagram that is sent to clients. */
  readonly datagramBytes: number;
  /** From the UDP port. */
  readonly send: (bytes: Uint8Array, to: Endpoint) => void;
}

/** What this node does for an association. */
interface Served {
  readonly lineage: Uint8Array;
  relay: UdpRelay | undefined;
  control: ControlConnection | undefined;
  /** By which the newest payload came: what targets send goes back there. */
  way: 'udp' | 'control';
  /** It is the owner, as far as it knows. */
  owned: boolean;
}

const LOOKED_AFTER_A_GRACE = 4;
/** After a drain, late answers of targets are still passed on: until it is quiet, but not long. */
const QUIET_MS = 250;
const LINGER_MS_MAX = 2_000;

/** Joins the machine of secure UDP to the node: cache, relays, control connections, port, time. */
export class SecureAssociations {
  readonly machine: NodeAssociations;
  readonly #context: SecureAssociationsContext;
  readonly #served = new Map<string, Served>();
  readonly #unwatch: () => void;
  #polling = false;
  #cancelFlush: Cancel | undefined;
  #cancelWake: Cancel | undefined;
  #wakeAt = Infinity;
  #cancelCare: Cancel | undefined;
  #draining = false;
  #drained: () => void = () => undefined;
  #closed = false;

  constructor(context: SecureAssociationsContext) {
    const { host, name, store, datagramBytes } = context;
    this.#context = context;
    this.machine = new NodeAssociations({
      ...{ name, datagramBytes },
      lookup: (id) => store.find(id),
      random: (sizeBytes) => host.random(sizeBytes),
    });
    this.#unwatch = store.watch(({ id, record }) => {
      if (record) this.#run((now) => this.machine.handleChanged(id, record, now));
      else this.#over(id, 'deleted');
    });
    this.#takeCare();
  }

  /** Control connections that are here. */
  get controls(): number {
    let count = 0;
    for (const { control } of this.#served.values()) if (control) count += 1;
    return count;
  }

  /** A datagram that is secure by its first byte. */
  handleDatagram(bytes: Uint8Array, from: Endpoint): void {
    this.#run((now) => this.machine.handleDatagram(bytes, from, now));
  }

  /** From now on its client is heard here; one that was before is not any more. */
  control(id: string, lineage: Uint8Array, closed: () => void): ControlConnection {
    const served = this.#serve(id, lineage);
    const control = new ControlConnection({
      payload: (payload) => this.#fromControl(id, control, payload),
      ended: () => {
        if (!this.#draining && !control.endSaid) this.end([id], 'closed');
      },
      closed: () => {
        this.#controlClosed(id, control);
        closed();
      },
    });
    served.control?.stream.destroy();
    served.control = control;
    if (this.#draining) control.end();
    return control;
  }

  /** Over, everywhere. */
  end(ids: readonly string[], reason: EndReason): void {
    for (const id of ids) {
      this.#context.store.delete(id);
      this.#over(id, reason);
    }
  }

  /** What is served here of a lineage that was revoked: at other nodes it is deleted too. */
  endLineage(lineage: Uint8Array): void {
    const wanted = Buffer.from(lineage);
    for (const [id, served] of [...this.#served]) {
      if (wanted.equals(served.lineage)) this.#over(id, 'deleted');
    }
  }

  /** Its memory may be a copy's, or the group has counted this node out: clients come back. */
  forget(): void {
    this.#run(() => this.machine.forget());
  }

  /** Moves every client elsewhere; ends when they have gone and nothing is under way. */
  async drain(): Promise<void> {
    this.#draining = true;
    const { promise: drained, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    const controls = [...this.#served.values()].flatMap(({ control }) => control ?? []);
    const closed = controls.map(({ stream }) => {
      return new Promise<void>((resolve) => stream.once('close', () => resolve()));
    });
    for (const control of controls) control.end();
    this.#run((now) => this.machine.drain(now));
    await Promise.all([drained, ...closed]);
    await this.#quiet();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#cancelFlush?.();
    this.#cancelWake?.();
    this.#cancelCare?.();
    for (const { relay, control } of [...this.#served.values()]) {
      relay?.close();
      control?.stream.destroy();
    }
    this.#served.clear();
  }

  #serve(id: string, lineage: Uint8Array): Served {
    let served = this.#served.get(id);
    if (!served) {
      served = { lineage, relay: undefined, control: undefined, way: 'udp', owned: false };
      this.#served.set(id, served);
    }
    return served;
  }

  #run(input: (now: number) => void): void {
    if (this.#closed) return;
    input(this.#context.host.now());
    this.#pollEvents();
    // At the end of the turn: what one turn brings can share a datagram.
    this.#cancelFlush ??= this.#context.host.after(0, this.#flush);
  }

  readonly #flush = (): void => {
    this.#cancelFlush = undefined;
    for (;;) {
      const output = this.machine.pollOutput();
      if (!output) break;
      this.#context.send(output.bytes, output.to);
    }
    this.#arm();
  };

  /** A timer that is too early costs less than a new one for each datagram. */
  #arm(): void {
    const { deadline } = this.machine;
    if (deadline >= this.#wakeAt) return;
    this.#cancelWake?.();
    this.#wakeAt = deadline;
    const { host } = this.#context;
    this.#cancelWake = host.after(Math.max(0, deadline - host.now()), () => {
      this.#wakeAt = Infinity;
      this.#run((now) => {
        if (this.machine.deadline <= now) this.machine.handleDeadline(now);
      });
    });
  }

  #pollEvents(): void {
    if (this.#polling) return;
    this.#polling = true;
    for (;;) {
      const event = this.machine.pollEvent();
      if (!event) break;
      this.#handle(event);
    }
    this.#polling = false;
  }

  #handle(event: NodeEvent): void {
    switch (event.kind) {
      case 'payload':
        return this.#fromClient(event.association, event.payload);
      case 'claim':
        return this.#claim(event.association);
      case 'renew':
        if (!this.#context.store.renew(event.association)) this.#over(event.association, 'deleted');
        return;
      case 'let go':
        return this.#letGo(event.association);
      case 'replay':
        return this.#replayed(event.association, event.from);
      case 'ended':
        // Whoever deleted it has told the others.
        if (event.reason !== 'deleted') this.#context.store.delete(event.association);
        return this.#finish(event.association, event.reason);
      case 'drained':
        return this.#drained();
    }
  }

  #fromClient(id: string, payload: Uint8Array): void {
    const served = this.#served.get(id) ?? this.#begin(id);
    if (!served) return;
    served.way = 'udp';
    served.owned = true;
    this.#relay(id, served)?.handle(asBuffer(payload));
  }

  /** Undefined for what is over, though nobody has said so yet. */
  #begin(id: string): Served | undefined {
    const record = this.#context.store.find(id);
    return record && this.#serve(id, record.lineage);
  }

  #fromControl(id: string, control: ControlConnection, payload: Buffer): void {
    const served = this.#served.get(id);
    if (served?.control !== control) return;
    served.way = 'control';
    this.#context.counters.controlPayloads.add(['from-client']);
    this.#relay(id, served)?.handle(payload);
  }

  #fromTarget(id: string, served: Served, datagram: Buffer): void {
    const { counters } = this.#context;
    if (served.way === 'control' && served.control) {
      const sent = served.control.sendPayload(datagram);
      counters.controlPayloads.add([sent ? 'to-client' : 'dropped']);
    } else this.#run((now) => this.machine.handlePayload(id, datagram, now));
  }

  #relay(id: string, served: Served): UdpRelay | undefined {
    if (served.relay) return served.relay;
    const record = this.#context.store.find(id);
    if (!record) return undefined;
    const { users, relays } = this.#context;
    const user = record.user === '' ? undefined : record.user;
    served.relay = relays.open({
      user,
      groups: () => (user === undefined ? [] : users.groups(user)),
      outgoingPort: record.outgoingPort,
      target: record.target,
      received: (datagram) => this.#fromTarget(id, served, datagram),
      opened: (port) => {
        if (port !== this.#context.store.find(id)?.outgoingPort) this.#claim(id);
      },
    });
    return served.relay;
  }

  /** The newest owner, and the port that the next one asks for. */
  #claim(id: string): void {
    const { store, name } = this.#context;
    const outgoingPort = this.#served.get(id)?.relay?.outgoingPort;
    const claims = (store.find(id)?.claims ?? 0) + 1;
    const change = { owner: name, claims, ...(outgoingPort !== undefined && { outgoingPort }) };
    if (!store.change(id, change)) return this.#over(id, 'deleted');
    const record = store.find(id);
    if (record) this.#run((now) => this.machine.handleChanged(id, record, now));
  }

  #letGo(id: string): void {
    const served = this.#served.get(id);
    if (!served) return;
    served.owned = false;
    this.#tidy(id, served);
  }

  #controlClosed(id: string, control: ControlConnection): void {
    const served = this.#served.get(id);
    if (served?.control !== control) return;
    served.control = undefined;
    served.way = 'udp';
    // From now on it lives for a grace time, unless records go on coming.
    if (!this.#closed) this.#context.store.renew(id);
    this.#tidy(id, served);
  }

  /** Closes what nobody uses. */
  #tidy(id: string, served: Served): void {
    if (served.owned || served.way === 'control') return;
    served.relay?.close();
    served.relay = undefined;
    if (!served.control) this.#served.delete(id);
  }

  #replayed(id: string, from: Endpoint): void {
    const fields = { event: 'replay', association: id, address: from.address, port: from.port };
    this.#context.log.warn(fields, 'a record came a second time');
  }

  /** It is so already, or everywhere soon. */
  #over(id: string, reason: EndReason): void {
    this.#run((now) => this.machine.handleDeleted(id, now));
    this.#finish(id, reason);
  }

  #finish(id: string, reason: EndReason): void {
    const served = this.#served.get(id);
    if (!served) return;
    this.#served.delete(id);
    served.relay?.close();
    served.control?.over(reason);
    this.#context.counters.ended.add([reason]);
  }

  /** A client that is silent keeps its association by its control connection. */
  #takeCare(): void {
    const { host, store, graceMs } = this.#context;
    this.#cancelCare = host.after(graceMs / LOOKED_AFTER_A_GRACE, () => {
      for (const [id, { control }] of this.#served) if (control) store.keep(id);
      this.#takeCare();
    });
  }

  async #quiet(): Promise<void> {
    const { host } = this.#context;
    const until = host.now() + LINGER_MS_MAX;
    for (;;) {
      const relays = [...this.#served.values()].flatMap(({ relay }) => relay ?? []);
      const last = Math.max(-Infinity, ...relays.map(({ receivedAt }) => receivedAt));
      const waitMs = Math.min(last + QUIET_MS, until) - host.now();
      if (waitMs <= 0 || this.#closed) return;
      await new Promise<void>((resolve) => host.after(waitMs, resolve));
    }
  }
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
