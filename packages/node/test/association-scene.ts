import type { Test } from 'tap';
import type { Endpoint } from '@argyle/host';
import {
  ClientAssociation,
  type AssociationRecord,
  type ClientEvent,
  type Grant,
} from '@argyle/secure-udp';
import { ManualHost } from '@argyle/host/manual-host';
import { AssociationCounters } from '../src/association-counters.ts';
import { AssociationStore } from '../src/association-store.ts';
import { SecureAssociations } from '../src/secure-associations.ts';
import type { RelayRequest, UdpRelay } from '../src/udp-relay.ts';
import { FakeCluster, type FakeCache } from './fake-cluster.ts';
import { SILENT } from './settings.ts';

export const ID = '0001020304050607';
export const GRACE_MS = 60_000;
const CLIENT: Endpoint = { address: '192.0.2.9', port: 9_000 };
const DATAGRAM_BYTES = 1_400;

/** What a target would see of one association at one node. */
export class FakeRelay {
  readonly request: RelayRequest;
  readonly handled: string[] = [];
  receivedAt = -Infinity;
  closed = false;

  constructor(request: RelayRequest) {
    this.request = request;
  }

  get outgoingPort(): number {
    return this.request.outgoingPort === 0 ? 40_000 : this.request.outgoingPort;
  }

  handle(datagram: Buffer): void {
    this.handled.push(datagram.toString());
  }

  close(): void {
    this.closed = true;
  }

  /** The target says something. */
  say(text: string): void {
    this.request.received(Buffer.from(text));
  }
}

export class FakeNode {
  readonly name: string;
  readonly cache: FakeCache;
  readonly store: AssociationStore;
  readonly counters = new AssociationCounters();
  readonly associations: SecureAssociations;
  readonly relays: FakeRelay[] = [];
  readonly revoked = new Set<string>();
  alive = true;

  constructor(scene: AssociationScene, name: string) {
    const { host } = scene;
    this.name = name;
    this.cache = scene.cluster.join();
    const isRevoked = (key: Uint8Array) => this.revoked.has(Buffer.from(key).toString('hex'));
    const context = { host, cache: this.cache, logins: { isRevoked }, holdMs: 250 };
    this.store = new AssociationStore(context);
    this.associations = new SecureAssociations({
      ...{ host, log: SILENT, name, store: this.store, counters: this.counters },
      ...{ users: { groups: () => [] }, graceMs: GRACE_MS, datagramBytes: DATAGRAM_BYTES },
      relays: { open: (request) => this.#open(request) },
      send: (bytes) => scene.toClient(this, bytes),
    });
  }

  /** Payloads that reached the target by this node. */
  get handled(): string[] {
    return this.relays.flatMap(({ handled }) => handled);
  }

  #open(request: RelayRequest): UdpRelay {
    const relay = new FakeRelay(request);
    this.relays.push(relay);
    return relay as unknown as UdpRelay;
  }
}

/** Nodes with their caches, one client, and a network that loses nothing; time stands still. */
export class AssociationScene {
  readonly host = new ManualHost();
  readonly cluster = new FakeCluster();
  readonly nodes: readonly FakeNode[];
  readonly events: ClientEvent[] = [];
  #client: ClientAssociation | undefined;

  /** With an association that the first node has granted; closed when the test ends. */
  static async open(t: Test, names: readonly string[]): Promise<AssociationScene> {
    const scene = new AssociationScene(names);
    t.teardown(() => scene.close());
    await scene.begin();
    return scene;
  }

  constructor(names: readonly string[]) {
    this.nodes = names.map((name) => new FakeNode(this, name));
  }

  get client(): ClientAssociation {
    if (!this.#client) throw new Error('no client yet');
    return this.#client;
  }

  /** What the client has got from the target. */
  get received(): string[] {
    return this.events.flatMap((event) =>
      event.kind === 'payload' ? [Buffer.from(event.payload).toString()] : [],
    );
  }

  record(change: Partial<AssociationRecord> = {}): AssociationRecord {
    return {
      ...{ secret: Buffer.alloc(32, 7), suite: 'aes-128-gcm', replay: 'drop', user: 'ann' },
      ...{
        lineage: Buffer.alloc(16, 1),
        clientPort: 0,
        outgoingPort: 0,
        claims: 0,
        graceMs: GRACE_MS,
      },
      ...{ owner: '', target: undefined },
      ...change,
    };
  }

  /** As if a node had granted it. */
  async begin(change: Partial<AssociationRecord> = {}): Promise<Grant> {
    const record = this.record(change);
    const [first] = this.nodes;
    await first?.store.add(ID, record);
    const { secret, suite, graceMs } = record;
    this.#client = new ClientAssociation({
      ...{ id: ID, secret, suite, datagramBytes: DATAGRAM_BYTES, standbys: 1 },
      random: (sizeBytes) => this.host.random(sizeBytes),
      resend: { datagrams: 256, ageMs: 1_000 },
    });
    const names = this.nodes.map(({ name }) => name);
    this.client.setCandidates(names, this.host.now());
    this.settle();
    return { id: ID, secret, suite, graceMs };
  }

  send(text: string): void {
    this.client.send(Buffer.from(text), this.host.now());
    this.settle();
  }

  toClient(node: FakeNode, bytes: Uint8Array): void {
    if (!node.alive) return;
    this.client.handleDatagram(bytes, node.name, this.host.now());
    this.settle();
  }

  /** Delivers all that is under way. */
  settle(): void {
    for (let output = this.client.pollOutput(); output; output = this.client.pollOutput()) {
      const node = this.nodes.find(({ name }) => name === output.to);
      if (node?.alive) node.associations.handleDatagram(output.bytes, CLIENT);
    }
    for (let event = this.client.pollEvent(); event; event = this.client.pollEvent()) {
      this.events.push(event);
    }
  }

  /** Time passes, a millisecond at a time. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1) {
      this.host.advance(1);
      if (this.client.deadline <= this.host.now()) this.client.handleDeadline(this.host.now());
      this.settle();
      if (left % 50 === 0) await new Promise(setImmediate);
    }
    await new Promise(setImmediate);
  }

  close(): void {
    for (const { associations } of this.nodes) associations.close();
  }
}
