import type { Endpoint } from '@argyle/host';
import type { Datagram } from './datagrams.ts';
import {
  CONTENTS,
  cutDatagram,
  HEADER_BYTES,
  NO_EPOCH,
  RANDOM_BYTES,
  TAKE_BYTES,
  TAKE_OVER,
  takeMac,
  takeOf,
  type WireRecord,
  type WireSeal,
  wireSeal,
  type WireSuite,
} from './wire-record.ts';

const OPENING_BYTES = HEADER_BYTES + RANDOM_BYTES;
const SEQUENCE_LIMIT = 2n ** 28n;

interface Direction {
  last: bigint;
  seal: WireSeal | undefined;
}

interface Epoch {
  readonly nodeRandom: Buffer;
  clientRandom: Buffer | undefined;
  readonly toNode: Direction;
  readonly toClient: Direction;
}

/** Reads what passes between clients and nodes with the associations' secrets, in order. */
export class WireAudit {
  /** What the protocol does not allow. */
  readonly faults: string[] = [];
  /** Records, by direction and what they are. */
  readonly counts = new Map<string, number>();
  /** Payloads that were in the records. */
  readonly toNode: Buffer[] = [];
  readonly toClient: Buffer[] = [];
  readonly #suite: WireSuite;
  readonly #nodePorts: ReadonlySet<number>;
  readonly #secretOf: (association: string) => Buffer | undefined;
  /** By node and name. */
  readonly #epochs = new Map<string, Epoch>();
  /** Records of clients that may be answered by a TAKE: by node, client, epoch and sequence. */
  readonly #triggers = new Map<string, number>();
  readonly #nonces = new Set<string>();

  constructor(
    suite: WireSuite,
    nodePorts: readonly number[],
    secretOf: (association: string) => Buffer | undefined,
  ) {
    this.#suite = suite;
    this.#nodePorts = new Set(nodePorts);
    this.#secretOf = secretOf;
  }

  add(datagram: Datagram): void {
    const { from, to, bytes } = datagram;
    const toNode = this.#nodePorts.has(to.port);
    const [node, client] = toNode ? [to, from] : [from, to];
    try {
      for (const record of cutDatagram(bytes)) {
        const secret = this.#secretOf(record.association);
        if (!secret) throw new Error(`association ${record.association} is not in the cache`);
        if (toNode) this.#fromClient(record, secret, node, client);
        else this.#fromNode(record, secret, node, client);
      }
    } catch (error) {
      const ends = `${nameOf(from)} to ${nameOf(to)}`;
      this.faults.push(`${ends}: ${String(error)}: ${bytes.toString('hex')}`);
    }
  }

  #fromClient(record: WireRecord, secret: Buffer, node: Endpoint, client: Endpoint): void {
    const { type, epoch, sequence, bytes } = record;
    this.#triggers.set(triggerKey(node, client, epoch, sequence), bytes.length);
    if (epoch === NO_EPOCH) {
      expect(type === TAKE_OVER && bytes.length === TAKE_BYTES, 'a HELLO as long as a TAKE');
      expect(
        bytes.subarray(HEADER_BYTES).every((byte) => byte === 0),
        'a HELLO of zeros',
      );
      return this.#count('client HELLO');
    }
    const known = this.#epochs.get(epochKey(node, epoch));
    if (!known) throw new Error('an epoch that the node has not offered');
    const opening = type === TAKE_OVER;
    if (opening) this.#opened(known, record, secret);
    else expect(known.toClient.last >= 0n, 'opening records until the node has spoken');
    this.#count(opening ? 'client opening' : 'client sealed');
    const content = this.#open(known.toNode, record, opening ? OPENING_BYTES : HEADER_BYTES);
    const kind = this.#read(content, 'client');
    expect(kind !== 'RECEIVED', 'no receipt of a client');
    if (kind === 'PROBE') expect(bytes.length >= TAKE_BYTES, 'a PROBE as long as a TAKE');
    if (kind === 'DATA') this.toNode.push(content.subarray(1));
  }

  #fromNode(record: WireRecord, secret: Buffer, node: Endpoint, client: Endpoint): void {
    const { type, epoch, bytes } = record;
    if (type === TAKE_OVER) return this.#taken(record, secret, node, client);
    const known = this.#epochs.get(epochKey(node, epoch));
    expect(known?.clientRandom !== undefined, 'an epoch that the client has opened');
    if (!known) return;
    this.#count('node sealed');
    const content = this.#open(known.toClient, record, HEADER_BYTES);
    const kind = this.#read(content, 'node');
    if (kind === 'DATA') this.toClient.push(content.subarray(1));
    expect(bytes.length <= 1_452, 'no larger than configured');
  }

  #taken(record: WireRecord, secret: Buffer, node: Endpoint, client: Endpoint): void {
    expect(record.bytes.length === TAKE_BYTES, 'a TAKE of 69 bytes');
    const { triggerEpoch, nodeRandom, mac } = takeOf(record);
    expect(mac.equals(takeMac(secret, record)), 'the MAC of a TAKE');
    const trigger = triggerKey(node, client, triggerEpoch, record.sequence);
    const triggerBytes = this.#triggers.get(trigger) ?? 0;
    expect(triggerBytes >= TAKE_BYTES, 'a TAKE after a trigger from there, no larger than it');
    this.#triggers.delete(trigger);
    this.#count('node TAKE');
    const key = epochKey(node, record.epoch);
    const known = this.#epochs.get(key);
    if (known) return expect(known.nodeRandom.equals(nodeRandom), 'the same R again');
    const direction = () => ({ last: -1n, seal: undefined });
    this.#epochs.set(key, {
      ...{ nodeRandom, clientRandom: undefined },
      ...{ toNode: direction(), toClient: direction() },
    });
  }

  /** An opening record shows C. */
  #opened(epoch: Epoch, record: WireRecord, secret: Buffer): void {
    const clientRandom = record.bytes.subarray(HEADER_BYTES, OPENING_BYTES);
    if (epoch.clientRandom) return expect(epoch.clientRandom.equals(clientRandom), 'the same C');
    epoch.clientRandom = clientRandom;
    const names = { ...record, nodeRandom: epoch.nodeRandom, clientRandom };
    epoch.toNode.seal = wireSeal(this.#suite, secret, 'client to node', names);
    epoch.toClient.seal = wireSeal(this.#suite, secret, 'node to client', names);
  }

  #open(direction: Direction, record: WireRecord, clearBytes: number): Buffer {
    const { sequence } = record;
    expect(sequence < SEQUENCE_LIMIT, 'a sequence below 2^28');
    expect(sequence > direction.last, `sequence ${sequence} after ${direction.last}`);
    if (direction.last < 0n) expect(sequence === 0n, 'sequences that begin with 0');
    direction.last = sequence;
    const { seal } = direction;
    if (!seal) throw new Error('an epoch without C');
    const nonce = seal.use(record, clearBytes);
    expect(!this.#nonces.has(nonce), 'no nonce twice under a key');
    this.#nonces.add(nonce);
    return seal.open(record, clearBytes);
  }

  /** The first byte inside the seal, and the length that it allows. */
  #read(content: Buffer, who: string): string {
    const kind = CONTENTS[content[0] ?? 0] ?? '';
    const sizeBytes = content.length - 1;
    const right = {
      DATA: true,
      PROBE: sizeBytes >= 8 && sizeBytes <= 64,
      ANSWER: sizeBytes === 8,
      RECEIVED: sizeBytes >= 8 && sizeBytes <= 520,
      LEAVE: sizeBytes >= 8 && sizeBytes <= 520,
      END: sizeBytes === 1 && [1, 2, 3].includes(content[1] ?? 0),
      '': false,
    }[kind];
    expect(right, `a content: ${content.toString('hex').slice(0, 40)}`);
    this.#count(`${who} ${kind}`);
    return kind;
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not ${what}`);
}

function epochKey(node: Endpoint, epoch: string): string {
  return `${nameOf(node)} ${epoch}`;
}

function triggerKey(node: Endpoint, client: Endpoint, epoch: string, sequence: bigint): string {
  return `${nameOf(node)} ${nameOf(client)} ${epoch} ${sequence}`;
}

function nameOf({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}
