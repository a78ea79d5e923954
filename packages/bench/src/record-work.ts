import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import {
  AssociationKeys,
  type AssociationRecord,
  ClientAssociation,
  drawAssociation,
  NodeAssociations,
  type SuiteName,
} from '@argyle/secure-udp';

/** What is to be done, as JSON in the only argument. */
export interface RecordWork {
  /**
   * `ciphers`: records are sealed, and opened, by the keys of an epoch; `bare`: the same with
   * `node:crypto` alone, of AES-128-GCM; `machines`: payloads go through a client's association and
   * a node's, and back.
   */
  readonly kind: 'ciphers' | 'bare' | 'machines';
  readonly suite: SuiteName;
  readonly payloadBytes: number;
  readonly seconds: number;
}

/** One line of JSON on its output. */
export interface RecordFigures {
  /** How many a second of processor time; not of `machines`, where a second is of both. */
  readonly sealed?: number;
  readonly opened?: number;
  readonly sealUs?: number;
  readonly openUs?: number;
  /** Of one payload, one way. */
  readonly bothUs: number;
}

const HEADER_BYTES = 29;
const KEY_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Records that wait to be opened, again and again. */
const READY = 1_024;
const WARM_SHARE = 0.3;
/** Between two looks at the clock. */
const BATCH = 64;
const DATAGRAM_BYTES = 1_452;
const FILL = 0x5a;

if (import.meta.main) {
  const figures = work(JSON.parse(process.argv[2] ?? '{}') as RecordWork);
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

function work({ kind, suite, payloadBytes, seconds }: RecordWork): RecordFigures {
  // One byte says what it is that a record holds.
  const content = Buffer.alloc(payloadBytes + 1, FILL);
  if (kind === 'machines') return throughMachines(suite, Buffer.from(content.subarray(1)), seconds);
  const codec = kind === 'bare' ? bareCodec() : epochCodec(suite);
  const half = seconds / 2;
  const sealUs = cost(half, (turn) => void codec.seal(turn, content));
  const records = Array.from({ length: READY }, (_, sequence) => codec.seal(sequence, content));
  const openUs = cost(half, (turn) => {
    const sequence = turn % READY;
    const opened = codec.open(sequence, records[sequence]!);
    assert(opened?.length === content.length && opened[0] === FILL, 'it opens');
  });
  return {
    sealed: 1e6 / sealUs,
    opened: 1e6 / openUs,
    sealUs,
    openUs,
    bothUs: sealUs + openUs,
  };
}

interface Codec {
  seal(sequence: number, content: Buffer): Buffer;
  open(sequence: number, record: Buffer): Buffer | undefined;
}

function epochCodec(suite: SuiteName): Codec {
  const { id, secret } = drawAssociation(randomBytes);
  const keys = new AssociationKeys({ id, secret, suite, random: randomBytes });
  const { clientToNode } = keys.epochCiphers({
    epoch: randomBytes(8),
    nodeRandom: randomBytes(KEY_BYTES),
    clientRandom: randomBytes(KEY_BYTES),
  });
  const header = randomBytes(HEADER_BYTES);
  return {
    seal: (sequence, content) => clientToNode.seal(header, sequence, content),
    open: (sequence, record) => clientToNode.open(record, HEADER_BYTES, sequence),
  };
}

/** The calls without which there is no record. */
function bareCodec(): Codec {
  const name = 'aes-128-gcm';
  const [key, nonce] = [randomBytes(KEY_BYTES), randomBytes(NONCE_BYTES)];
  const header = randomBytes(HEADER_BYTES);
  let tag = Buffer.alloc(TAG_BYTES);
  return {
    seal(_sequence, content) {
      const cipher = createCipheriv(name, key, nonce);
      cipher.setAAD(header);
      const ciphertext = cipher.update(content);
      cipher.final();
      tag = cipher.getAuthTag();
      return ciphertext;
    },
    open(_sequence, ciphertext) {
      const decipher = createDecipheriv(name, key, nonce);
      decipher.setAAD(header);
      decipher.setAuthTag(tag);
      const content = decipher.update(ciphertext);
      decipher.final();
      return content;
    },
  };
}

/** No sockets and no timers: what a client and a node do with an echo, beside the system's part. */
function throughMachines(suite: SuiteName, payload: Buffer, seconds: number): RecordFigures {
  const { id, secret } = drawAssociation(randomBytes);
  const record: AssociationRecord = {
    secret,
    suite,
    replay: 'drop',
    lineage: randomBytes(16),
    user: 'measured',
    clientPort: 0,
    outgoingPort: 0,
    claims: 0,
    graceMs: 60_000,
    owner: '',
    target: undefined,
  };
  const common = { random: randomBytes, datagramBytes: DATAGRAM_BYTES };
  const node = new NodeAssociations({ ...common, name: 'node-1', lookup: () => record });
  const resend = { datagrams: 256, ageMs: 1_000 };
  const client = new ClientAssociation({ ...common, id, secret, suite, standbys: 0, resend });
  const from = { address: '127.0.0.1', port: 1_080 };
  let returned = 0;
  const settle = (now: number) => {
    for (let moved = true; moved;) {
      moved = false;
      for (let out = client.pollOutput(); out; out = client.pollOutput(), moved = true)
        node.handleDatagram(out.bytes, from, now);
      for (let event = node.pollEvent(); event; event = node.pollEvent())
        if (event.kind === 'payload') moved = node.handlePayload(id, event.payload, now);
      for (let out = node.pollOutput(); out; out = node.pollOutput(), moved = true)
        client.handleDatagram(out.bytes, 'node-1', now);
      for (let event = client.pollEvent(); event; event = client.pollEvent())
        if (event.kind === 'payload') returned += 1;
    }
  };
  client.setCandidates(['node-1'], performance.now());
  settle(performance.now());
  let sent = 0;
  const roundTripUs = cost(seconds, () => {
    const now = performance.now();
    if (client.deadline <= now) client.handleDeadline(now);
    if (node.deadline <= now) node.handleDeadline(now);
    sent += 1;
    client.send(Buffer.from(payload), now);
    settle(now);
  });
  assert.equal(returned, sent, 'every payload comes back');
  return { bothUs: roundTripUs / 2 };
}

/** Processor time of one turn, in µs, after turns that are not counted. */
function cost(seconds: number, turn: (count: number) => void): number {
  let done = 0;
  const turnFor = (share: number) => {
    const end = performance.now() + seconds * share * 1_000;
    do for (let i = 0; i < BATCH; i += 1) turn(done++);
    while (performance.now() < end);
  };
  turnFor(WARM_SHARE);
  const [before, counted] = [process.cpuUsage(), done];
  turnFor(1);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (done - counted);
}
