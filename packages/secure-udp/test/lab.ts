import type { Endpoint } from '@argyle/host';
import { type NetworkFaults, Simulator } from '@argyle/simulator';
import { type AssociationRecord, drawAssociation } from '../src/association-record.ts';
import type { ClientAssociationOptions } from '../src/client-association.ts';
import { Balancer } from './balancer.ts';
import { Checker } from './checker.ts';
import { ClientProcess, DATAGRAM_BYTES, NODE_PORT, NodeProcess } from './processes.ts';

/** How late another node learns what one has written, at most. */
const SPREAD_MS = 30;

export const RESEND = { datagrams: 256, ageMs: 1_000 };

export const NAMES = ['alpha', 'bravo', 'charlie'];
/** Nothing wrong, and 12 ms there and back. */
export const QUIET = { delayMinMs: 5, delayMeanMs: 1 };

/** Three nodes on a network. */
export function threeNodes(faults: Partial<NetworkFaults> = QUIET, seed = 1): Lab {
  const lab = new Lab({ seed, faults });
  for (const name of NAMES) lab.startNode(name);
  return lab;
}

/** Why the client moved, each time. */
export function moves({ events }: ClientProcess): string[] {
  return events.flatMap((event) => (event.kind === 'moved' ? [event.reason] : []));
}

/** Payloads that reached the target other than once. */
export function notOnce(lab: Lab, client: ClientProcess): number[] {
  const numbers = Array.from({ length: client.number }, (_, index) => index + 1);
  return numbers.filter((number) => lab.checker.relaysOf(client, number) !== 1);
}

/** Nodes, clients, a target that answers, and what all nodes' caches hold, under one seed. */
export class Lab {
  readonly simulator: Simulator;
  readonly checker = new Checker();
  readonly nodes = new Map<string, NodeProcess>();
  readonly clients: ClientProcess[] = [];
  /** The newest of each. */
  readonly records = new Map<string, AssociationRecord>();
  balancer: Balancer | undefined;
  /** Whether a closed port is told by ICMP. */
  refusals = true;
  /** Whether clients have another way for payloads when no node answers. */
  controls = false;
  /** That there ever were. */
  associations = 0;
  /** Whether the target answers each payload. */
  echoes = true;
  readonly #versions = new WeakMap<AssociationRecord, number>();
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
    if (node.machine.size > 0) this.checker.count('a node lost its memory');
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
      claims: 0,
      graceMs: options.graceMs ?? 60_000,
      owner: '',
      target: undefined,
    };
    this.associations += 1;
    const { datagrams } = options.resend ?? RESEND;
    this.checker.association(id, record, datagrams > 0 ? 'some' : 'none');
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

  /**
   * A node's write reaches its own cache at once and the others' soon; of two that cross each other
   * all keep the same one.
   */
  write(from: NodeProcess, id: string, record: AssociationRecord | undefined): void {
    if (!this.records.has(id)) return;
    const version = record ? from.versionAfter(id) : Infinity;
    if (!record) this.records.delete(id);
    else if (version > this.versionOf(this.records.get(id))) this.records.set(id, record);
    if (record) this.#versions.set(record, version);
    for (const node of this.nodes.values()) {
      const delayMs = node === from ? 0 : this.simulator.random.uniform() * SPREAD_MS;
      this.simulator.after(delayMs, () => {
        if (record === undefined) node.apply(id, record);
        else if (!this.records.has(id)) return;
        else if (version > this.versionOf(node.records.get(id))) node.apply(id, record);
        else if (record !== node.records.get(id)) this.checker.count('writes crossed');
      });
    }
  }

  /** As a cache orders writes: by a count, and by who wrote. */
  versionOf(record: AssociationRecord | undefined): number {
    return (record && this.#versions.get(record)) ?? 0;
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

  /** A payload that a node relays for whom datagrams do not pass. */
  carry(client: ClientProcess, number: number): void {
    this.checker.carried(client, number);
    if (!client.arrivals.has(number)) client.arrivals.set(number, this.simulator.now);
  }

  /** The target sends through that node's socket. */
  answer(node: NodeProcess, id: string, number: number): void {
    this.#sent += 1;
    const echo = Buffer.alloc(16);
    echo.write(id, 0, 'hex');
    echo.writeUInt32BE(number, 8);
    echo.writeUInt32BE(this.#sent, 12);
    node.run((now) => node.machine.handlePayload(id, echo, now));
  }

  endpointOf(name: string): Endpoint {
    return { address: this.simulator.host(name).address, port: NODE_PORT };
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
