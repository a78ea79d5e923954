import assert from 'node:assert/strict';
import type { Cancel, Endpoint, Port } from '@argyle/host';
import type { SimulatedHost } from '@argyle/simulator';
import type { AssociationRecord } from '../src/association-record.ts';
import { ClientAssociation, type ClientAssociationOptions } from '../src/client-association.ts';
import type { ClientEvent } from '../src/client-event.ts';
import type { NodeEvent } from '../src/node-association.ts';
import { NodeAssociations } from '../src/node-associations.ts';
import type { Lab } from './lab.ts';

export const NODE_PORT = 11_080;
export const DATAGRAM_BYTES = 1_200;
const CLIENT_PORT = 50_000;
const GROUP = { address: '239.192.0.1', port: 1 };

interface Machine<To> {
  readonly deadline: number;
  handleDeadline(now: number): void;
  pollOutput(): { readonly bytes: Buffer; readonly to: To } | undefined;
}

/** One process: a machine on a simulated host, with a timer and a port. */
abstract class Process<To, Of extends Machine<To>> {
  readonly host: SimulatedHost;
  readonly lab: Lab;
  readonly machine: Of;
  alive = true;
  protected port: Port;
  #cancel: Cancel | undefined;
  #armedFor = Infinity;

  constructor(lab: Lab, host: SimulatedHost, machine: Of, ownPort: number) {
    this.lab = lab;
    this.host = host;
    this.machine = machine;
    this.port = this.bind(ownPort);
  }

  /** Runs an input of the machine, and all that follows from it. */
  run(input: (now: number) => void): void {
    if (!this.alive) return;
    input(this.host.now());
    this.drain();
    for (let output = this.machine.pollOutput(); output; output = this.machine.pollOutput()) {
      this.send(output.bytes, output.to);
    }
    this.#arm();
  }

  /** After a pause. A process looks at its timers before its sockets, unless it was at those. */
  resume(first: 'timers' | 'sockets'): void {
    if (!this.alive) return;
    if (first === 'timers' && this.machine.deadline <= this.host.now()) {
      this.run((now) => this.machine.handleDeadline(now));
    }
    this.host.resume();
  }

  stop(): void {
    this.alive = false;
    this.#cancel?.();
    this.port.close();
  }

  /** All that was due has been done. */
  protected tended(): void {}
  protected abstract drain(): void;
  protected abstract send(bytes: Buffer, to: To): void;
  abstract receive(bytes: Uint8Array, from: Endpoint): void;

  protected bind(ownPort: number): Port {
    const options = {
      group: GROUP,
      interfaceAddress: this.host.address,
      ownPort,
      linkKeys: () => [],
      multicastTtl: 1,
    };
    return this.host.openPort(options, {
      opened: () => undefined,
      failed: (error) => {
        throw error;
      },
      unsent: () => undefined,
      datagram: (bytes, from) => this.receive(bytes, from),
      link: () => undefined,
    });
  }

  #arm(): void {
    const { deadline } = this.machine;
    if (deadline === this.#armedFor) return;
    this.#cancel?.();
    this.#armedFor = deadline;
    if (deadline === Infinity || !this.alive) return;
    this.#cancel = this.host.after(Math.max(0, deadline - this.host.now()), () => {
      this.#armedFor = Infinity;
      this.run((now) => this.machine.handleDeadline(now));
      assert(this.machine.deadline > this.host.now(), 'what was due is done');
      this.tended();
    });
  }
}

export class NodeProcess extends Process<Endpoint, NodeAssociations> {
  readonly name: string;
  /** Its own copy of the cluster's cache. */
  readonly records: Map<string, AssociationRecord>;
  /** Associations with a socket towards the target. */
  readonly sockets = new Set<string>();
  readonly events: NodeEvent[] = [];
  #heard: NodeEvent[] = [];

  constructor(lab: Lab, name: string) {
    const host = lab.simulator.host(name);
    const records = new Map(lab.records);
    const machine = new NodeAssociations({
      name,
      lookup: (id) => records.get(id),
      random: (sizeBytes) => host.random(sizeBytes),
      datagramBytes: DATAGRAM_BYTES,
    });
    super(lab, host, machine, NODE_PORT);
    this.name = name;
    this.records = records;
  }

  get endpoint(): Endpoint {
    return { address: this.host.address, port: NODE_PORT };
  }

  /** Of what it writes now. */
  versionAfter(id: string): number {
    const count = Math.floor(this.lab.versionOf(this.records.get(id))) + 1;
    return count + [...this.lab.nodes.keys()].indexOf(this.name) / 10;
  }

  /** What the cluster's cache says changed. */
  apply(id: string, record: AssociationRecord | undefined): void {
    this.host.perform(() => {
      if (!this.alive) return;
      if (record) this.records.set(id, record);
      else this.records.delete(id);
      this.run((now) => {
        if (record) this.machine.handleChanged(id, record, now);
        else this.machine.handleDeleted(id, now);
      });
      if (record) this.lab.checker.ownership.named(this, id, record);
      else this.lab.checker.deleted(this, id);
    });
  }

  override receive(bytes: Uint8Array, from: Endpoint): void {
    if (!this.alive) return;
    this.lab.checker.delivered(this, bytes, from);
    this.#heard = [];
    this.run((now) => this.machine.handleDatagram(bytes, from, now));
    this.lab.checker.relayed(this, bytes, this.#heard);
    this.lab.checker.settle(this);
  }

  protected override tended(): void {
    this.lab.checker.settle(this);
    this.lab.checker.ownership.tended(this);
  }

  protected override send(bytes: Buffer, to: Endpoint): void {
    this.lab.checker.nodeSent(this, bytes, to);
    this.port.unicast(bytes, to);
  }

  protected override drain(): void {
    for (let event = this.machine.pollEvent(); event; event = this.machine.pollEvent()) {
      this.#heard.push(event);
      if (event.kind !== 'payload') this.events.push(event);
      this.lab.checker.count(`node: ${event.kind}`);
      this.lab.checker.ownership.event(this, event);
      this.#handle(event);
    }
  }

  #handle(event: NodeEvent): void {
    if (event.kind === 'drained' || event.kind === 'replay') return;
    const { association: id } = event;
    const record = this.records.get(id);
    if (event.kind === 'payload') {
      this.sockets.add(id);
      this.lab.target(this, id, event.payload);
    } else if (event.kind === 'let go') this.sockets.delete(id);
    else if (event.kind === 'ended') {
      this.sockets.delete(id);
      this.lab.write(this, id, undefined);
    } else if (record && event.kind === 'claim') {
      this.lab.write(this, id, { ...record, owner: this.name, claims: record.claims + 1 });
    } else if (record) this.lab.write(this, id, { ...record });
  }
}

export class ClientProcess extends Process<string, ClientAssociation> {
  readonly name: string;
  readonly id: string;
  readonly events: ClientEvent[] = [];
  /** Numbers of the payloads that came from the target. */
  readonly received: number[] = [];
  /** When each payload that reached the target first did so. */
  readonly arrivals = new Map<number, number>();
  number = 0;
  /** Another association or another address is another. */
  endpoint: Endpoint = { address: '', port: 0 };
  #ownPort = CLIENT_PORT;
  #unreachable = false;

  constructor(lab: Lab, name: string, options: ClientAssociationOptions) {
    super(lab, lab.simulator.host(name), new ClientAssociation(options), CLIENT_PORT);
    this.name = name;
    this.id = options.id;
    this.endpoint = { address: this.host.address, port: CLIENT_PORT };
  }

  /** A payload with the next number. */
  say(sizeBytes = 40): void {
    this.number += 1;
    const payload = Buffer.alloc(sizeBytes);
    payload.write(this.id, 0, 'hex');
    payload.writeUInt32BE(this.number, 8);
    this.run((now) => this.machine.send(payload, now));
  }

  /** Its address translator gives it another port. */
  rebind(): void {
    this.port.close();
    this.#ownPort += 1;
    this.endpoint = { address: this.host.address, port: this.#ownPort };
    this.port = this.bind(this.#ownPort);
  }

  override receive(bytes: Uint8Array, from: Endpoint): void {
    if (!this.alive) return;
    const candidate = this.lab.nameOf(from);
    this.lab.checker.heardAt(this.lab.nodeAt(from), this.endpoint);
    this.run((now) => this.machine.handleDatagram(bytes, candidate ?? 'a stranger', now));
  }

  protected override send(bytes: Buffer, to: string): void {
    this.lab.checker.clientSent(this, bytes);
    const endpoint = this.lab.endpointOf(to);
    this.port.unicast(bytes, endpoint);
    const { network } = this.lab.simulator;
    if (!this.lab.refusals || network.portAt(endpoint)) return;
    this.lab.simulator.after(network.delay(), () =>
      this.host.perform(() => this.run((now) => this.machine.handleRefused(to, now))),
    );
  }

  protected override drain(): void {
    for (let event = this.machine.pollEvent(); event; event = this.machine.pollEvent()) {
      const what = event.kind === 'moved' ? `moved: ${event.reason}` : event.kind;
      this.lab.checker.count(`client: ${what}`);
      if (event.kind === 'payload') {
        const number = Buffer.from(event.payload).readUInt32BE(8);
        this.lab.checker.echoed(this, number, event.payload);
        this.received.push(number);
      } else this.events.push(event);
      if (event.kind === 'unreachable') this.#unreachable = true;
    }
  }

  override run(input: (now: number) => void): void {
    super.run(input);
    if (this.#unreachable && this.lab.controls) this.#goAnotherWay();
    this.#unreachable = false;
  }

  /** As over a control connection, where that is not blocked. */
  #goAnotherWay(): void {
    for (const payload of this.machine.takeWaiting(this.host.now())) {
      this.lab.carry(this, Buffer.from(payload).readUInt32BE(8));
    }
  }
}
