import type { Endpoint } from '@argyle/host';
import type { AssociationRecord } from '../src/association-record.ts';
import { type Content, decodeContent } from '../src/content.ts';
import type { EpochCiphers } from '../src/key-schedule.ts';
import type { NodeEvent } from '../src/node-association.ts';
import { NodeAssociations } from '../src/node-associations.ts';
import { HEADER_BYTES, readRecord, RecordType, type UdpRecord } from '../src/record.ts';
import { RecordSealer } from '../src/record-sealer.ts';
import type { SuiteName } from '../src/suite.ts';
import { encodeHello, openTake } from '../src/take.ts';
import { counting, ID, keysOf, SECRET } from './fixture.ts';

export const CLIENT: Endpoint = { address: '198.18.0.9', port: 50_000 };
export const MOVED: Endpoint = { address: '198.18.0.9', port: 50_001 };
export const STRANGER: Endpoint = { address: '198.18.0.66', port: 666 };

export const RECORD: AssociationRecord = {
  secret: SECRET,
  suite: 'aes-128-gcm',
  replay: 'drop',
  lineage: counting(1, 16),
  user: 'alice',
  clientPort: 0,
  outgoingPort: 0,
  claims: 0,
  graceMs: 60_000,
  owner: '',
  target: undefined,
};

/** Random bytes that never come twice. */
export function distinct(): (sizeBytes: number) => Uint8Array {
  let drawn = 0;
  return (sizeBytes) => {
    drawn += 1;
    const bytes = Buffer.alloc(sizeBytes, 0xd0);
    if (sizeBytes >= 4) bytes.writeUInt32BE(drawn, sizeBytes - 4);
    return bytes;
  };
}

/** A node's machine, and what came out of it. */
export class HandNode {
  readonly records = new Map<string, AssociationRecord>([[ID, RECORD]]);
  readonly machine: NodeAssociations;
  readonly sent: { readonly bytes: Buffer; readonly to: Endpoint }[] = [];
  readonly events: NodeEvent[] = [];
  /** Into the cache. */
  looks = 0;
  now = 1_000;

  constructor(record: Partial<AssociationRecord> = {}, datagramBytes = 1_200) {
    this.records.set(ID, { ...RECORD, ...record });
    this.machine = new NodeAssociations({
      name: 'alpha',
      lookup: (id) => {
        this.looks += 1;
        return this.records.get(id);
      },
      random: distinct(),
      datagramBytes,
    });
  }

  receive(bytes: Uint8Array, from: Endpoint = CLIENT): this {
    return this.run(() => this.machine.handleDatagram(bytes, from, this.now));
  }

  run(input: () => void): this {
    input();
    for (;;) {
      const event = this.machine.pollEvent();
      if (!event) break;
      this.events.push(event);
    }
    for (;;) {
      const output = this.machine.pollOutput();
      if (!output) return this;
      this.sent.push(output);
    }
  }

  /** Lets time pass, a deadline after the other. */
  pass(ms: number): this {
    const end = this.now + ms;
    for (;;) {
      const at = this.machine.deadline;
      if (at > end) break;
      this.now = Math.max(this.now, at);
      this.run(() => this.machine.handleDeadline(this.now));
    }
    this.now = end;
    return this;
  }

  /** Takes what was sent since. */
  take(): { readonly bytes: Buffer; readonly to: Endpoint }[] {
    return this.sent.splice(0);
  }

  payloads(): string[] {
    return this.events
      .splice(0)
      .flatMap((event) =>
        event.kind === 'payload' ? [Buffer.from(event.payload).toString()] : [],
      );
  }

  kinds(): string[] {
    return this.events.splice(0).map(({ kind }) => kind);
  }

  dropped(): Record<string, number> {
    return Object.fromEntries(this.machine.counters.dropped);
  }
}

/** A client of one epoch, by hand: it does only what it is told. */
export class HandEpoch {
  readonly id: string;
  readonly ciphers: EpochCiphers;
  readonly sealer: RecordSealer;

  constructor(take: Buffer, clientRandom: Uint8Array, suite: SuiteName = RECORD.suite) {
    const keys = keysOf(suite);
    const opened = openTake(read(take), keys);
    if (!opened) throw new Error('no TAKE');
    this.id = opened.epoch;
    const { nodeRandom } = opened;
    const epoch = Buffer.from(opened.epoch, 'hex');
    this.ciphers = keys.epochCiphers({ epoch, nodeRandom, clientRandom });
    this.sealer = new RecordSealer({
      suite,
      cipher: this.ciphers.clientToNode,
      association: ID,
      epoch: this.id,
      clientRandom,
    });
  }

  opening(content: Uint8Array): Buffer {
    return this.sealer.seal(content, 'opening')!;
  }

  seal(content: Uint8Array): Buffer {
    return this.sealer.seal(content)!;
  }

  /** All contents of a datagram of the node's. */
  open(datagram: Buffer): (Content | undefined)[] {
    const contents: (Content | undefined)[] = [];
    for (let at = 0; at < datagram.length;) {
      const record = readRecord(datagram, at);
      if (typeof record === 'string') throw new Error(record);
      at += record.bytes.length;
      if (record.type !== RecordType.sealed) continue;
      const { bytes, sequence } = record;
      const content = this.ciphers.nodeToClient.open(bytes, HEADER_BYTES, sequence);
      contents.push(content && decodeContent(content));
    }
    return contents;
  }
}

export function hello(): Buffer {
  return encodeHello(ID, distinct());
}

export function read(bytes: Buffer): UdpRecord {
  const record = readRecord(bytes, 0);
  if (typeof record === 'string') throw new Error(record);
  return record;
}

let opened = 0;

/** An epoch that the node has, opened with `content`. */
export function openEpoch(
  node: HandNode,
  content: Uint8Array,
  from: Endpoint = CLIENT,
  suite: SuiteName = RECORD.suite,
): HandEpoch {
  node.take();
  node.receive(hello(), from);
  opened += 1;
  const epoch = new HandEpoch(node.take()[0]!.bytes, counting(opened, 16), suite);
  node.receive(epoch.opening(content), from);
  return epoch;
}

/** All contents that the node has sent, by where to. */
export function sent(node: HandNode, epoch: HandEpoch) {
  return node
    .take()
    .flatMap(({ bytes, to }) => epoch.open(bytes).map((content) => ({ content, to })));
}
