/**
 * What the cluster knows of one association, under its id (PROTOCOL.md, "Association record").
 *
 * ```
 *  0        1        2        3             35             51      53      55       59       63
 * +--------+--------+--------+-------------+--------------+-------+-------+--------+--------+-----
 * | format | suite  | replay | secret (32) | lineage (16) | port  | port  | grace  | claims | owner
 * |   1    |        | policy |             |              | client| out   | (4,ms) |    (4) | ...
 * +--------+--------+--------+-------------+--------------+-------+-------+--------+--------+-----
 * ```
 * Owner, user and target's host follow, each after its length in one byte, and then the target's
 * port (2). No target: an empty host and port 0.
 */
import { SECRET_BYTES } from './key-schedule.ts';
import { ASSOCIATION_BYTES } from './record.ts';
import { type SuiteName, suiteName, SUITES } from './suite.ts';

/** What to do with a record that comes a second time: `drop` counts it, as the others do too. */
export type ReplayPolicy = 'drop' | 'warn' | 'end';
const POLICIES: readonly ReplayPolicy[] = ['drop', 'warn', 'end'];

export interface AssociationRecord {
  /** 32 bytes. Whoever has it can read and forge everything. */
  readonly secret: Uint8Array;
  readonly suite: SuiteName;
  readonly replay: ReplayPolicy;
  /** The chain of TLS sessions that it was made on: 16 bytes. */
  readonly lineage: Uint8Array;
  readonly user: string;
  /** What the client said it sends from (RFC 1928 §6); 0 if it did not. */
  readonly clientPort: number;
  /** From which the owner sends to targets: the next one asks for the same. */
  readonly outgoingPort: number;
  /** How long it outlives its control connection and its records. */
  readonly graceMs: number;
  /** The node that serves it, by name; empty before the first. Bookkeeping only. */
  readonly owner: string;
  /** How often it was claimed: a claim writes one more, whatever else is written the same. */
  readonly claims: number;
  /** The one target, if it may have no other. */
  readonly target: { readonly host: string; readonly port: number } | undefined;
}

const FORMAT = 1;
const LINEAGE_BYTES = 16;
const SECRET_AT = 3;
const LINEAGE_AT = SECRET_AT + SECRET_BYTES;
const CLIENT_PORT_AT = LINEAGE_AT + LINEAGE_BYTES;
const OUTGOING_PORT_AT = CLIENT_PORT_AT + 2;
const GRACE_AT = OUTGOING_PORT_AT + 2;
const CLAIMS_AT = GRACE_AT + 4;
const TEXTS_AT = CLAIMS_AT + 4;
const TEXT_BYTES_MAX = 255;

/** Id and secret of a new association, from a kernel's random source. */
export function drawAssociation(random: (sizeBytes: number) => Uint8Array): {
  readonly id: string;
  readonly secret: Uint8Array;
} {
  const id = Buffer.from(random(ASSOCIATION_BYTES)).toString('hex');
  return { id, secret: Uint8Array.from(random(SECRET_BYTES)) };
}

/** Throws RangeError for what no record can hold: names of over 255 bytes, wrong lengths. */
export function encodeAssociationRecord(record: AssociationRecord): Uint8Array {
  if (record.secret.length !== SECRET_BYTES || record.lineage.length !== LINEAGE_BYTES) {
    throw new RangeError('a secret has 32 bytes and a lineage 16');
  }
  const fixed = Buffer.alloc(TEXTS_AT);
  fixed[0] = FORMAT;
  fixed[1] = SUITES[record.suite].number;
  fixed[2] = POLICIES.indexOf(record.replay);
  fixed.set(record.secret, SECRET_AT);
  fixed.set(record.lineage, LINEAGE_AT);
  fixed.writeUInt16BE(record.clientPort, CLIENT_PORT_AT);
  fixed.writeUInt16BE(record.outgoingPort, OUTGOING_PORT_AT);
  fixed.writeUInt32BE(record.graceMs, GRACE_AT);
  fixed.writeUInt32BE(record.claims, CLAIMS_AT);
  const port = Buffer.alloc(2);
  port.writeUInt16BE(record.target?.port ?? 0);
  const texts = [record.owner, record.user, record.target?.host ?? ''].map(encodeText);
  return Buffer.concat([fixed, ...texts, port]);
}

/** Copies what it keeps. Undefined for another format: what is not known is nothing. */
export function decodeAssociationRecord(bytes: Uint8Array): AssociationRecord | undefined {
  const record = Buffer.from(bytes);
  if (record.length < TEXTS_AT || record[0] !== FORMAT) return undefined;
  const suite = suiteName(record[1] ?? 0);
  const replay = POLICIES[record[2] ?? 0];
  const texts: string[] = [];
  let at = TEXTS_AT;
  while (texts.length < 3) {
    const end = at + 1 + (record[at] ?? 0);
    if (end > record.length) return undefined;
    texts.push(record.toString('utf8', at + 1, end));
    at = end;
  }
  if (!suite || !replay || record.length !== at + 2) return undefined;
  const [owner = '', user = '', host = ''] = texts;
  const port = record.readUInt16BE(at);
  return {
    secret: record.subarray(SECRET_AT, LINEAGE_AT),
    suite,
    replay,
    lineage: record.subarray(LINEAGE_AT, CLIENT_PORT_AT),
    user,
    clientPort: record.readUInt16BE(CLIENT_PORT_AT),
    outgoingPort: record.readUInt16BE(OUTGOING_PORT_AT),
    graceMs: record.readUInt32BE(GRACE_AT),
    claims: record.readUInt32BE(CLAIMS_AT),
    owner,
    target: host === '' ? undefined : { host, port },
  };
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > TEXT_BYTES_MAX) {
    throw new RangeError(`a name of ${bytes.length} bytes, at most ${TEXT_BYTES_MAX}`);
  }
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}
