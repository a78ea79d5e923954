import assert from 'node:assert/strict';
import type { Endpoint } from '@argyle/host';
import type { AssociationRecord } from '../src/association-record.ts';
import type { ClientCounters } from '../src/client-counters.ts';
import { type Content, decodeContent } from '../src/content.ts';
import { EPOCHS_MAX } from '../src/constants.ts';
import { AssociationKeys, type EpochCiphers } from '../src/key-schedule.ts';
import type { NodeCounters } from '../src/node-counters.ts';
import type { NodeEvent } from '../src/node-association.ts';
import { HEADER_BYTES, NO_EPOCH, readRecord, RecordType, type UdpRecord } from '../src/record.ts';
import { OPENING_BYTES, openingRandom, openTake } from '../src/take.ts';
import { History } from './history.ts';
import { OwnershipCheck } from './ownership-check.ts';
import type { ClientProcess, NodeProcess } from './processes.ts';
import { ReceiptCheck } from './receipt-check.ts';

/** At a node, of the specification. */
const OFFERS_MAX = 8;

/**
 * What must always hold, checked at every datagram. It knows all secrets, and opens what clients
 * seal as somebody could who sees everything: it holds the random numbers of every TAKE and of
 * every opening record.
 */
export class Checker {
  readonly seen = new Map<string, number>();
  readonly #keys = new Map<string, AssociationKeys>();
  /** R by epoch, and C by client and epoch. */
  readonly #nodeRandoms = new Map<string, Buffer>();
  readonly #clientRandoms = new Map<string, Buffer>();
  readonly #ciphers = new Map<string, EpochCiphers>();
  /** Every pair of key and nonce that sealed something, and every C. */
  readonly #sealed = new Set<string>();
  /** Payloads that clients sealed, by record: the number, and how often by number. */
  readonly #records = new Map<string, number>();
  readonly #copies = new Map<string, number>();
  readonly #relayed = new Set<string>();
  readonly #relays = new Map<string, number>();
  readonly #echoes = new Set<string>();
  readonly #deleted = new Map<NodeProcess, Set<string>>();
  /** By life of a node and address: bytes that came, and went; and whether it was proven. */
  readonly #ledgers = new Map<string, { came: number; went: number; proven: boolean }>();
  /** By node and address: the client that was there heard the node there. */
  readonly #heard = new Set<string>();
  readonly #lives = new Map<object, number>();
  readonly #history = new History((what) => this.count(what));
  readonly #receipts = new ReceiptCheck();
  readonly ownership = new OwnershipCheck((what) => this.count(what));
  /** Associations of which nothing is sent again when nobody knows whether it came. */
  readonly #onceOnly = new Set<string>();
  /** Payloads that went another way, as no node answered. */
  readonly #carried = new Set<string>();
  /** Everything that clients ever sent; and nodes, with where from and to. */
  readonly recording: Buffer[] = [];
  readonly answers: { readonly bytes: Buffer; readonly node: string; readonly to: Endpoint }[] = [];

  count(what: string, by = 1): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + by);
  }

  association(id: string, { secret, suite }: AssociationRecord, resend: 'some' | 'none'): void {
    const random = (sizeBytes: number) => new Uint8Array(sizeBytes);
    if (resend === 'none') this.#onceOnly.add(id);
    this.#keys.set(id, new AssociationKeys({ id, secret, suite, random }));
  }

  /** No pair of key and nonce seals twice; all of a client's is opened. */
  clientSent(client: ClientProcess, datagram: Buffer): void {
    this.recording.push(datagram);
    for (const record of records(datagram)) {
      if (record.epoch === NO_EPOCH) continue;
      const opening = record.type === RecordType.takeOver;
      const of = `${this.#life(client)} ${record.epoch}`;
      if (opening) this.#open(of, openingRandom(record)!);
      const clientRandom = this.#clientRandoms.get(of);
      assert(clientRandom, 'an epoch begins with opening records');
      const key = `${record.epoch} ${clientRandom.toString('hex')}`;
      this.#once(`up ${key} ${record.sequence}`);
      const ciphers = this.#ciphersOf(record, key, clientRandom);
      const headerBytes = opening ? OPENING_BYTES : HEADER_BYTES;
      const { bytes, sequence } = record;
      const opened = ciphers.clientToNode.open(bytes, headerBytes, sequence);
      assert(opened, 'what a client seals opens');
      const content = decodeContent(opened);
      assert(content, 'and makes sense');
      if (content.kind !== 'data') continue;
      const number = Buffer.from(content.payload).readUInt32BE(8);
      const payload = `${record.association} ${number}`;
      assert(!this.#carried.has(payload), 'what went another way is not sent here any more');
      this.#receipts.sealed(record.epoch, sequence);
      this.#records.set(nameOf(record), number);
      this.#copies.set(payload, (this.#copies.get(payload) ?? 0) + 1);
    }
  }

  nodeSent(node: NodeProcess, datagram: Buffer, to: Endpoint): void {
    for (const record of records(datagram)) {
      if (record.type === RecordType.takeOver) {
        const take = openTake(record, this.#keys.get(record.association)!);
        assert(take);
        const known = this.#nodeRandoms.get(take.epoch);
        assert(!known || known.equals(take.nodeRandom), 'an epoch has one R');
        this.#nodeRandoms.set(take.epoch, take.nodeRandom);
        this.#history.offered(node, record, take);
      } else {
        this.#once(`down ${record.epoch} ${record.sequence}`);
        const content = this.#opened(record);
        if (content.kind !== 'received' && content.kind !== 'leave') continue;
        this.#receipts.said({ epoch: record.epoch, ...content });
      }
    }
    this.answers.push({ bytes: datagram, node: node.name, to });
    const ledger = this.#ledger(node, to);
    ledger.went += datagram.length;
    const paid = ledger.proven || ledger.went <= ledger.came;
    assert(paid, `${ledger.went} bytes to an unproven address that sent ${ledger.came}`);
  }

  delivered(node: NodeProcess, bytes: Uint8Array, from: Endpoint): void {
    const ledger = this.#ledger(node, from);
    ledger.came += bytes.length;
    if (this.#heard.has(`${this.#life(node)} ${addressOf(from)}`)) ledger.proven = true;
  }

  /** What came of a datagram at a node: no record is relayed twice, anywhere. */
  relayed(node: NodeProcess, datagram: Uint8Array, events: readonly NodeEvent[]): void {
    const waiting = [...records(Buffer.from(datagram))].filter((record) =>
      this.#records.has(nameOf(record)),
    );
    for (const event of events) {
      if (event.kind !== 'payload') continue;
      const number = Buffer.from(event.payload).readUInt32BE(8);
      const at = waiting.findIndex((record) => this.#records.get(nameOf(record)) === number);
      const [record] = waiting.splice(at, 1);
      assert(at >= 0 && record, 'what is relayed was sent by a client');
      assert.equal(event.association, record.association);
      assert(!this.#deleted.get(node)?.has(record.association), 'nothing opens after DELETE');
      this.#history.relayed(node, record);
      const name = nameOf(record);
      assert(!this.#relayed.has(name), `record ${name} relayed twice`);
      this.#relayed.add(name);
      this.#receipts.relayed(record.epoch, record.sequence);
      this.#reached(record.association, number);
    }
  }

  /** All that follows from one input has been done. */
  settle(node: NodeProcess): void {
    this.#receipts.settle();
    const { machine, lab } = node;
    assert(machine.counters.epochs <= EPOCHS_MAX * machine.size, 'epochs of an association');
    assert(machine.offers <= OFFERS_MAX * lab.associations, 'offers of an association');
  }

  /** The client sent it over its control connection instead. */
  carried({ id }: ClientProcess, number: number): void {
    const payload = `${id} ${number}`;
    this.#carried.add(payload);
    this.#copies.set(payload, (this.#copies.get(payload) ?? 0) + 1);
    this.count('a payload went another way');
    this.#reached(id, number);
  }

  #reached(association: string, number: number): void {
    const payload = `${association} ${number}`;
    const relays = (this.#relays.get(payload) ?? 0) + 1;
    this.#relays.set(payload, relays);
    if (relays === 1) return;
    this.count('a payload reached the target twice');
    assert(relays <= (this.#copies.get(payload) ?? 0), 'only by a re-send of the client');
    assert(!this.#onceOnly.has(association), 'only where that is allowed');
  }

  /** What a node sealed, with the C of whichever client has the epoch. */
  #opened({ epoch, bytes, sequence }: UdpRecord): Content {
    for (const [of, { nodeToClient }] of this.#ciphers) {
      const opened = of.startsWith(epoch) && nodeToClient.open(bytes, HEADER_BYTES, sequence);
      const content = opened && decodeContent(opened);
      if (content) return content;
    }
    return assert.fail('what a node seals opens, and makes sense');
  }

  /** The node that served the association last. */
  servedBy(id: string): NodeProcess | undefined {
    return this.#history.servedBy(id);
  }

  /** A datagram of that node's has reached a client through that address. */
  heardAt(node: NodeProcess | undefined, address: Endpoint): void {
    if (node) this.#heard.add(`${this.#life(node)} ${addressOf(address)}`);
  }

  /** What the target sent reaches the application once. */
  echoed(client: ClientProcess, _number: number, payload: Uint8Array): void {
    assert.equal(Buffer.from(payload).toString('hex', 0, 8), client.id, "its target's");
    const echo = `${this.#life(client)} ${Buffer.from(payload).readUInt32BE(12)}`;
    assert(!this.#echoes.has(echo), 'a payload of the target came twice');
    this.#echoes.add(echo);
  }

  deleted(node: NodeProcess, id: string): void {
    const known = this.#deleted.get(node) ?? new Set();
    this.#deleted.set(node, known.add(id));
  }

  /** What a node counted in its life. */
  tallyNode({ dropped, unsent, moves, stoodStill }: NodeCounters): void {
    for (const [reason, count] of dropped) this.count(`node drops: ${reason}`, count);
    for (const [reason, count] of unsent) this.count(`node keeps: ${reason}`, count);
    this.count('a client was found at another address', moves);
    this.count('a node stood still', stoodStill);
  }

  tallyClient(counters: ClientCounters): void {
    for (const [reason, count] of counters.dropped) this.count(`client drops: ${reason}`, count);
    this.count('sent again: missing', counters.resentMissing);
    this.count('sent again: unsure', counters.resentUnsure);
    this.count('not sent again', counters.unsure);
    this.count('left too hastily', counters.hasty);
    this.count('a client stood still', counters.stoodStill);
  }

  /** How often a payload reached the target. */
  relaysOf(client: ClientProcess, number: number): number {
    return this.#relays.get(`${client.id} ${number}`) ?? 0;
  }

  /** C is drawn anew whenever a client opens an epoch; also one that it held, and dropped. */
  #open(epoch: string, clientRandom: Buffer): void {
    const known = this.#clientRandoms.get(epoch);
    if (known?.equals(clientRandom)) return;
    if (known) this.count('an epoch was opened anew');
    this.#once(`C ${clientRandom.toString('hex')}`);
    this.#clientRandoms.set(epoch, Buffer.from(clientRandom));
  }

  #once(pair: string): void {
    assert(!this.#sealed.has(pair), `twice: ${pair}`);
    this.#sealed.add(pair);
  }

  #ciphersOf(record: UdpRecord, key: string, clientRandom: Buffer): EpochCiphers {
    const known = this.#ciphers.get(key);
    if (known) return known;
    const nodeRandom = this.#nodeRandoms.get(record.epoch);
    assert(nodeRandom, 'no epoch without a TAKE');
    const epoch = Buffer.from(record.epoch, 'hex');
    const keys = this.#keys.get(record.association)!;
    const ciphers = keys.epochCiphers({ epoch, nodeRandom, clientRandom });
    this.#ciphers.set(key, ciphers);
    return ciphers;
  }

  #ledger(node: NodeProcess, { address, port }: Endpoint) {
    const name = `${this.#life(node)} ${address}:${port}`;
    const known = this.#ledgers.get(name);
    if (known) return known;
    const ledger = { came: 0, went: 0, proven: false };
    this.#ledgers.set(name, ledger);
    return ledger;
  }

  /** Processes that were started again are others. */
  #life(process: object): number {
    const known = this.#lives.get(process);
    if (known !== undefined) return known;
    this.#lives.set(process, this.#lives.size);
    return this.#lives.size - 1;
  }
}

function* records(datagram: Buffer): Generator<UdpRecord> {
  for (let at = 0; at < datagram.length;) {
    const record = readRecord(datagram, at);
    if (typeof record === 'string') return;
    at += record.bytes.length;
    yield record;
  }
}

/** By its tag: nothing else has the same. */
function nameOf({ epoch, sequence, bytes }: UdpRecord): string {
  return `${epoch} ${sequence} ${bytes.toString('hex', bytes.length - 8)}`;
}

function addressOf({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}
