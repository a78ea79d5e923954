import { ClientCounters, type ClientDropReason } from './client-counters.ts';
import type { ClientEpoch } from './client-epoch.ts';
import type { ClientEvent } from './client-event.ts';
import { ClientNodes } from './client-nodes.ts';
import { REKEY_RECORDS, STOOD_STILL_MS, TICK_MS } from './constants.ts';
import { type Content, decodeContent, encodeAnswer, encodeEnd, type EndReason } from './content.ts';
import { AssociationKeys } from './key-schedule.ts';
import { Outbox, type Outgoing } from './outbox.ts';
import { readRecord, RecordType, type UdpRecord } from './record.ts';
import type { SentPayload } from './sent-payloads.ts';
import { type SuiteName, SUITES } from './suite.ts';
import { OPENING_BYTES } from './take.ts';
import { WaitingPayloads } from './waiting-payloads.ts';

export interface ClientAssociationOptions {
  /** What the node gave over TLS. */
  readonly id: string;
  readonly secret: Uint8Array;
  readonly suite: SuiteName;
  /** A kernel's random source. */
  readonly random: (sizeBytes: number) => Uint8Array;
  /** What the path carries: larger payloads are refused. */
  readonly datagramBytes: number;
  /** Other nodes with an epoch, so that a switch costs no round trip: 1 or 2. */
  readonly standbys: number;
  /**
   * What has no receipt when a node falls silent is sent again: the newest so many that are at most
   * so old. Some of it may reach the target twice; with 0 datagrams, nothing does. What a node that
   * leaves says it has not relayed is sent again in any case.
   */
  readonly resend: { readonly datagrams: number; readonly ageMs: number };
  /** Another epoch after so many records; 2^24 if not given. */
  readonly rekeyRecords?: number;
}

/** `waiting`: until a node answers. */
export type SendOutcome = 'sent' | 'waiting' | 'too large' | 'ended';

/**
 * One association of a client (PROTOCOL.md): payloads of the application, datagrams of nodes, what
 * the network says of them, and time go in; datagrams, events and one deadline come out. Nodes are
 * endpoints whose names only the driver understands. It begins with `setCandidates`. After any
 * input the driver drains `pollOutput` and `pollEvent`, and arms one timer for `deadline`.
 */
export class ClientAssociation {
  readonly counters = new ClientCounters();
  /** The largest payload that `send` takes. */
  readonly payloadBytesMax: number;
  readonly #options: ClientAssociationOptions;
  readonly #keys: AssociationKeys;
  readonly #outbox: Outbox<string>;
  readonly #nodes: ClientNodes;
  readonly #waiting = new WaitingPayloads();
  readonly #events: ClientEvent[] = [];
  /** When a payload last went through, either way. */
  #payloadAt = -Infinity;
  #ended = false;
  #deadline = Infinity;
  #lastAt = -Infinity;

  constructor(options: ClientAssociationOptions) {
    this.#options = options;
    this.payloadBytesMax = payloadBytesMax(options);
    this.#keys = new AssociationKeys(options);
    this.#outbox = new Outbox(options.datagramBytes, (a, b) => a === b);
    this.#nodes = new ClientNodes(
      { rekeyRecords: REKEY_RECORDS, ...options, keys: this.#keys, counters: this.counters },
      {
        push: (endpoint, record) => this.#push(endpoint, record),
        tell: (event) => this.#events.push(event),
        changed: (missing, unsure, now) => this.#resend(missing, unsure, now),
      },
    );
  }

  get deadline(): number {
    return this.#deadline;
  }

  /** The endpoint in use. */
  get endpoint(): string | undefined {
    return this.#nodes.endpoint;
  }

  /** Endpoints that can be switched to without a round trip. */
  get standbys(): string[] {
    return this.#nodes.standbys;
  }

  /** For the adoption by a new control connection (PROTOCOL.md, "Adoption"). */
  adoptionProof(exported: Uint8Array): Uint8Array {
    return this.#keys.adoptionProof(exported);
  }

  /** In order of preference, at any time. One in use that is not among them is left. */
  setCandidates(endpoints: readonly string[], now: number): void {
    this.#input(now, () => this.#nodes.set(endpoints, now));
  }

  /** The payload is the machine's from now on. */
  send(payload: Uint8Array, now: number): SendOutcome {
    if (this.#ended) return 'ended';
    if (payload.length > this.payloadBytesMax) {
      this.counters.tooLarge += 1;
      return 'too large';
    }
    let outcome: SendOutcome = 'waiting';
    this.#input(now, () => {
      this.#payloadAt = now;
      this.counters.payloadsOut += 1;
      outcome = this.#send({ payload, firstAt: now }, now);
    });
    return outcome;
  }

  /**
   * For a driver with another way for payloads (PROTOCOL.md, "Receipts and silence"): takes those
   * that wait for a node, at most 2 s old, and, while none answers, those that were sent and have
   * no receipt, as far as `resend` allows: their age counts until the nodes fell silent, at most
   * 3 s ago. In order; nothing of it is sent here any more. To be called on `unreachable`, and
   * whenever the driver begins to go the other way.
   */
  takeWaiting(now: number): Uint8Array[] {
    if (this.#ended) return [];
    const { sent, since } = this.#nodes.takeUnanswered(now);
    const { young, givenUp } = this.#waiting.takeAll(now);
    this.counters.givenUp += givenUp;
    const taken = [...this.#allowed(sent, since), ...young];
    return taken.sort((a, b) => a.firstAt - b.firstAt).map(({ payload }) => payload);
  }

  /** A datagram that the record detector says is secure. */
  handleDatagram(bytes: Uint8Array, from: string, now: number): void {
    this.#input(now, () => {
      const datagram = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      let at = 0;
      do {
        const record = readRecord(datagram, at);
        if (typeof record === 'string') return this.counters.drop(record);
        at += record.bytes.length;
        const dropped = this.#handleRecord(record, from, now);
        if (dropped) this.counters.drop(dropped);
      } while (at < datagram.length && !this.#ended);
    });
  }

  /** The network says that nobody listens there. */
  handleRefused(endpoint: string, now: number): void {
    this.#input(now, () => this.#nodes.refused(endpoint, now));
  }

  /**
   * Something besides its records speaks against the node in use, such as a control connection to
   * it that broke: it is asked by one PROBE at once, and left only if it is silent (PROTOCOL.md,
   * "Receipts and silence"). Harmless if it is wrong; without a node in use it does nothing.
   */
  handleDoubt(now: number): void {
    this.#input(now, () => this.#nodes.doubt(now));
  }

  handleDeadline(now: number): void {
    this.#input(now, () => undefined);
  }

  /** Ends it, at every node that has an epoch of it. */
  end(now: number): void {
    this.#input(now, () => {
      for (const epoch of this.#nodes.epochs()) {
        const record = epoch.seal(encodeEnd('closed'));
        if (record) this.#push(epoch.endpoint, record);
      }
      this.#over('closed');
    });
  }

  pollOutput(): Outgoing<string> | undefined {
    return this.#outbox.poll();
  }

  pollEvent(): ClientEvent | undefined {
    return this.#events.shift();
  }

  /** Every input passes here. */
  #input(now: number, handle: () => void): void {
    if (this.#ended) return;
    if (now - this.#lastAt > STOOD_STILL_MS && this.#nodes.holds) this.#nodes.stoodStill(now);
    this.#lastAt = now;
    handle();
    this.#deadline = this.#ended ? Infinity : this.#tend(now);
  }

  /** Does all that is due; answers when there is something to do next. */
  #tend(now: number): number {
    const next = this.#nodes.tend(this.#payloadAt, now);
    if (this.#waiting.dueAt <= now) this.#sendBurst(now);
    const burstAt = this.#nodes.epoch?.spent === false ? this.#waiting.dueAt : Infinity;
    return Math.min(next, burstAt, this.#nodes.holds ? now + TICK_MS : Infinity);
  }

  #handleRecord(record: UdpRecord, from: string, now: number): ClientDropReason | undefined {
    if (record.association !== this.#options.id) return 'association';
    if (record.type === RecordType.takeOver) return this.#nodes.take(record, from, now);
    const epoch = this.#nodes.find(record.epoch);
    if (!epoch) return 'epoch';
    const opened = epoch.open(record, now);
    if (typeof opened === 'string') return opened;
    this.counters.opened += 1;
    this.#nodes.heard(epoch, now);
    const content = decodeContent(opened);
    if (!content) return 'content';
    this.#handleContent(content, epoch, now);
    return undefined;
  }

  #handleContent(content: Content, epoch: ClientEpoch, now: number): void {
    switch (content.kind) {
      case 'data':
        this.#payloadAt = now;
        this.counters.payloadsIn += 1;
        this.#events.push({ kind: 'payload', payload: content.payload });
        return;
      case 'probe': {
        const answer = epoch.seal(encodeAnswer(content.token));
        if (answer) this.#push(epoch.endpoint, answer);
        return;
      }
      case 'answer':
        if (epoch.answered(content.token, now)) this.#nodes.answered(epoch, now);
        return;
      case 'received':
        if (epoch.acknowledge(content.receipt, now)) this.#nodes.answered(epoch, now);
        return;
      case 'leave':
        this.#nodes.left(epoch, content.receipt, now);
        return;
      case 'end':
        this.#over(content.reason);
    }
  }

  #send(sent: SentPayload, now: number): 'sent' | 'waiting' {
    const { epoch } = this.#nodes;
    const record = epoch?.sealPayload(sent, now);
    if (epoch && record) {
      this.#push(epoch.endpoint, record);
      return 'sent';
    }
    this.counters.givenUp += this.#waiting.add(sent, now);
    return 'waiting';
  }

  #resend(missing: readonly SentPayload[], unsure: readonly SentPayload[], now: number): void {
    const newest = this.#allowed(unsure, now);
    this.counters.resentMissing += missing.length;
    this.counters.givenUp += this.#waiting.addFirst([...missing, ...newest], now);
    this.#sendBurst(now);
  }

  /** Of those of which nobody knows, what may be sent again: the newest. */
  #allowed(unsure: readonly SentPayload[], silentAt: number): readonly SentPayload[] {
    const { datagrams, ageMs } = this.#options.resend;
    const young = unsure.filter(({ firstAt }) => firstAt >= silentAt - ageMs);
    const newest = datagrams === 0 ? [] : young.slice(-datagrams);
    this.counters.resentUnsure += newest.length;
    this.counters.unsure += unsure.length - newest.length;
    return newest;
  }

  /** What waits and what is sent again overflows nobody's buffers. */
  #sendBurst(now: number): void {
    if (this.#nodes.epoch?.spent !== false) return;
    const { young, givenUp } = this.#waiting.takeBurst(now);
    this.counters.givenUp += givenUp;
    for (const sent of young) this.#send(sent, now);
  }

  #push(endpoint: string, record: Buffer): void {
    this.counters.sent += 1;
    this.#outbox.push(record, endpoint);
  }

  #over(reason: EndReason): void {
    this.#ended = true;
    this.#nodes.forget();
    this.#events.push({ kind: 'ended', reason });
  }
}

/** So that it fits into an opening record too. */
function payloadBytesMax({ suite, datagramBytes }: ClientAssociationOptions): number {
  let contentBytes = datagramBytes - OPENING_BYTES;
  while (SUITES[suite].sizeBytes(OPENING_BYTES, contentBytes) > datagramBytes) contentBytes -= 1;
  return contentBytes - 1;
}
