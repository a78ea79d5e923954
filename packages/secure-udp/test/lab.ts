import type { Cancel, Endpoint, Port } from '@argyle/host';
import { type NetworkFaults, type SimulatedHost, Simulator } from '@argyle/simulator';
import { type AssociationRecord, drawAssociation } from '../src/association-record.ts';
import { ClientAssociation, type ClientAssociationOptions } from '../src/client-association.ts';
import type { ClientEvent } from '../src/client-event.ts';
import type { NodeEvent } from '../src/node-association.ts';
import { NodeAssociations } from '../src/node-associations.ts';
import { Balancer } from './balancer.ts';
import { Checker } from './checker.ts';

const PORT = 11_080;
const GROUP = { address: '239.192.0.1', port: 1 };
const DATAGRAM_BYTES = 1_200;
/** How late another node learns what one has written, at most. */
const SPREAD_MS = 30;

export const RESEND = { datagrams: 256, ageMs: 1_000 };

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

  stop(): void {
    this.alive = false;
    this.#cancel?.();
    this.port.close();
  }

  protected abstract drain(): void;
  protected abstract send(bytes: Buffer, to: To): void;
  abstract receive(bytes: Uint8Array, from: Endpoint): void;

  protected bind(ownPort: number): Port {
    const options = {
      group: GROUP,
      interfaceAddress: this.host.address,
      ownPort,
      linkKey: new Uint8Array(32),
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
    super(lab, host, machine, PORT);
    this.name = name;
    this.records = records;
  }

  get endpoint(): Endpoint {
    return { address: this.host.address, port: PORT };
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
      if (!record) this.lab.checker.deleted(this, id);
    });
  }

  override receive(bytes: Uint8Array, from: Endpoint): void {
    if (!this.alive) return;
    this.lab.checker.delivered(this, bytes, from);
    this.#heard = [];
    this.run((now) => this.machine.handleDatagram(bytes, from, now));
    this.lab.checker.relayed(this, bytes, this.#heard);
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
      this.lab.write(this, id, { ...record, owner: this.name });
    } else if (record) this.lab.write(this, id, record);
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
  #ownPort = 50_000;

  constructor(lab: Lab, name: string, options: ClientAssociationOptions) {
    super(lab, lab.simulator.host(name), new ClientAssociation(options), 50_000);
    this.name = name;
    this.id = options.id;
    this.endpoint = { address: this.host.address, port: 50_000 };
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
    }
  }
}

/** Nodes, clients, a target that answers, and what all nodes' caches hold, under one seed. */
export class Lab {
  readonly simulator: Simulator;
  readonly checker = new Checker();
  readonly nodes = new Map<string, NodeProcess>();
  readonly clients: ClientProcess[] = [];
  readonly records = new Map<string, AssociationRecord>();
  balancer: Balancer | undefined;
  /** Whether a closed port is told by ICMP. */
  refusals = true;
  /** Whether the target answers each payload. */
  echoes = true;
  #sent = 0;

  constructor(options: { seed: number; faults?: Partial<NetworkFaults> }) {
    this.simulator = new Simulator(options);
  }

  startNode(name: string): NodeProcess {
    const node = new NodeProcess(this, name);
    this.nodes.set(name, node);
    return node;
  }

  node(name: string): NodeProcess {
    const node = this.nodes.get(name);
    if (!node) throw new Error(name);
    return node;
  }

  kill(name: string): void {
    const node = this.node(name);
    this.checker.tallyNode(node.machine.counters);
    node.stop();
    node.host.crash();
  }

  startClient(
    name: string,
    candidates: readonly string[],
    options: Partial<ClientAssociationOptions & AssociationRecord> = {},
  ): ClientProcess {
    const random = (sizeBytes: number) => this.simulator.random.bytes(sizeBytes);
    const { id, secret } = drawAssociation(random);
    const record: AssociationRecord = {
      secret,
      suite: options.suite ?? 'aes-128-gcm',
      replay: options.replay ?? 'drop',
      lineage: new Uint8Array(16),
      user: name,
      clientPort: 0,
      outgoingPort: 0,
      graceMs: 60_000,
      owner: '',
      target: undefined,
    };
    this.checker.association(id, record);
    this.records.set(id, record);
    for (const node of this.nodes.values()) node.apply(id, record);
    const host = this.simulator.host(name);
    const client = new ClientProcess(this, name, {
      random: (sizeBytes) => host.random(sizeBytes),
      datagramBytes: DATAGRAM_BYTES,
      standbys: 2,
      resend: RESEND,
      ...options,
      id,
      secret,
      suite: record.suite,
    });
    this.clients.push(client);
    this.simulator.after(0.5, () =>
      client.run((now) => client.machine.setCandidates(candidates, now)),
    );
    return client;
  }

  run(durationMs: number): void {
    this.simulator.run(durationMs);
  }

  /** What anybody recorded is sent again: to that node, from that address. */
  replay(node: NodeProcess, datagram: Uint8Array, from: Endpoint): void {
    this.simulator.after(this.simulator.network.delay(), () =>
      node.host.perform(() => node.receive(datagram, from)),
    );
  }

  /** Each client sends a payload every `intervalMs`. */
  talk(durationMs: number, intervalMs = 20, meanwhile: () => void = () => undefined): void {
    const end = this.simulator.now + durationMs;
    while (this.simulator.now < end) {
      for (const client of this.clients) client.host.perform(() => client.say());
      meanwhile();
      this.run(intervalMs);
    }
  }

  /** A node's write reaches its own cache at once and the others' soon. */
  write(from: NodeProcess, id: string, record: AssociationRecord | undefined): void {
    if (!this.records.has(id)) return;
    if (record) this.records.set(id, record);
    else this.records.delete(id);
    for (const node of this.nodes.values()) {
      const delayMs = node === from ? 0 : this.simulator.random.uniform() * SPREAD_MS;
      this.simulator.after(delayMs, () => {
        // What was deleted meanwhile stays so: the cache's versions see to that.
        if (record === undefined || this.records.has(id)) node.apply(id, record);
      });
    }
  }

  /** An operator's. */
  delete(id: string): void {
    const [node] = this.nodes.values();
    if (node) this.write(node, id, undefined);
  }

  /** A payload has reached the target, which answers it if it is to. */
  target(node: NodeProcess, id: string, payload: Uint8Array): void {
    const number = Buffer.from(payload).readUInt32BE(8);
    const client = this.clients.find((each) => each.id === id);
    if (client && !client.arrivals.has(number)) client.arrivals.set(number, this.simulator.now);
    if (!this.echoes) return;
    this.simulator.after(this.simulator.network.delay(), () =>
      node.host.perform(() => {
        if (node.sockets.has(id)) this.answer(node, id, number);
      }),
    );
  }

  /** The target sends through that node's socket. */
  answer(node: NodeProcess, id: string, number: number): void {
    this.#sent += 1;
    const echo = Buffer.alloc(16);
    echo.writeUInt32BE(number, 8);
    echo.writeUInt32BE(this.#sent, 12);
    node.run((now) => node.machine.handlePayload(id, echo, now));
  }

  endpointOf(name: string): Endpoint {
    return { address: this.simulator.host(name).address, port: PORT };
  }

  nodeAt({ address }: Endpoint): NodeProcess | undefined {
    return [...this.nodes.values()].find(({ host }) => host.address === address);
  }

  nameOf({ address }: Endpoint): string | undefined {
    for (const name of this.candidateNames) {
      if (this.simulator.host(name).address === address) return name;
    }
    return undefined;
  }

  get candidateNames(): string[] {
    return [...this.nodes.keys(), ...(this.balancer ? ['balancer'] : [])];
  }

  startBalancer(): Balancer {
    this.balancer = new Balancer(this);
    return this.balancer;
  }
}
