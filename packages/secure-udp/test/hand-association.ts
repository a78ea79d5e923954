import { ClientAssociation } from '../src/client-association.ts';
import { decodeContent, encodeAnswer, encodeReceipt } from '../src/content.ts';
import type { EpochCiphers } from '../src/key-schedule.ts';
import { HEADER_BYTES, readRecord, type UdpRecord } from '../src/record.ts';
import { RecordSealer } from '../src/record-sealer.ts';
import { encodeTake, openingRandom } from '../src/take.ts';
import { counting, ID, keysOf, SECRET } from './fixture.ts';
import { distinct } from './hand-client.ts';

/** A client's machine, and what came out of it: datagrams as records, with where to. */
export class HandClient {
  readonly machine = new ClientAssociation({
    id: ID,
    secret: SECRET,
    suite: 'aes-128-gcm',
    random: distinct(),
    datagramBytes: 1_200,
    standbys: 2,
    resend: { datagrams: 256, ageMs: 1_000 },
  });
  now = 1_000;

  start(...candidates: string[]): this {
    this.machine.setCandidates(candidates, this.now);
    return this;
  }

  sent(): (UdpRecord & { to: string })[] {
    const records: (UdpRecord & { to: string })[] = [];
    for (let out = this.machine.pollOutput(); out; out = this.machine.pollOutput()) {
      for (let at = 0; at < out.bytes.length;) {
        const record = readRecord(out.bytes, at);
        if (typeof record === 'string') throw new Error(record);
        at += record.bytes.length;
        records.push({ ...record, to: out.to });
      }
    }
    return records;
  }

  receive(bytes: Buffer, from: string): void {
    this.machine.handleDatagram(bytes, from, this.now);
  }

  say(text: string): void {
    this.machine.send(Buffer.from(text), this.now);
  }

  pass(ms: number): void {
    const end = this.now + ms;
    while (this.machine.deadline <= end) {
      this.now = Math.max(this.now, this.machine.deadline);
      this.machine.handleDeadline(this.now);
    }
    this.now = end;
  }

  moves(): string[] {
    const moves: string[] = [];
    for (let event = this.machine.pollEvent(); event; event = this.machine.pollEvent()) {
      if (event.kind === 'moved') moves.push(event.reason);
    }
    return moves;
  }

  dropped(reason: 'stale take' | 'take' | 'epoch' | 'association'): number {
    return this.machine.counters.dropped.get(reason) ?? 0;
  }
}

/** A node's side of one epoch, by hand. */
export class HandOffer {
  readonly keys = keysOf('aes-128-gcm');
  readonly epoch: string;
  readonly nodeRandom = counting(0x33, 16);
  #sealer: RecordSealer | undefined;
  #ciphers: EpochCiphers | undefined;

  constructor(number: number) {
    this.epoch = counting(number, 8).toString('hex');
  }

  take(trigger: UdpRecord): Buffer {
    return encodeTake(trigger, this, this.keys);
  }

  /** A record of the node's, after the opening record that made the epoch. */
  answer(opening: UdpRecord, content: Buffer): Buffer {
    const clientRandom = openingRandom(opening)!;
    const epoch = Buffer.from(this.epoch, 'hex');
    const { nodeRandom } = this;
    this.#ciphers ??= this.keys.epochCiphers({ epoch, nodeRandom, clientRandom });
    this.#sealer ??= new RecordSealer({
      suite: 'aes-128-gcm',
      cipher: this.#ciphers.nodeToClient,
      association: ID,
      epoch: this.epoch,
      clientRandom,
    });
    return this.#sealer.seal(content)!;
  }

  /** The node's ANSWER to a PROBE, after that. */
  answerProbe(opening: UdpRecord, { bytes, sequence }: UdpRecord): Buffer {
    const content = this.#ciphers?.clientToNode.open(bytes, HEADER_BYTES, sequence);
    const probe = content && decodeContent(content);
    if (probe?.kind !== 'probe') throw new Error('no PROBE');
    return this.answer(opening, encodeAnswer(probe.token));
  }
}

export const received = (highest: number) =>
  encodeReceipt('received', { highest, bitmap: new Uint8Array(8).fill(0xff) });

/** A client that uses `alpha`, which has confirmed its epoch. */
export function settled(...others: string[]) {
  const client = new HandClient().start('alpha', ...others);
  const offer = new HandOffer(1);
  client.receive(offer.take(client.sent()[0]!), 'alpha');
  client.say('zero');
  const opening = client.sent()[0]!;
  client.receive(offer.answer(opening, received(1)), 'alpha');
  return { client, offer, opening };
}
