import { createDecipheriv, createHmac, createCipheriv, hkdfSync } from 'node:crypto';

/**
 * Records of secure UDP, written down once more from secure-udp's PROTOCOL.md: it shares nothing
 * with `src`, so that what both agree on is what the document says.
 */
export interface WireRecord {
  readonly type: number;
  /** Hexadecimal, both. */
  readonly association: string;
  readonly epoch: string;
  readonly sequence: bigint;
  readonly bytes: Buffer;
}

export const TAKE_OVER = 0x96;
export const SEALED = 0x97;
export const NO_EPOCH = '0000000000000000';
export const HEADER_BYTES = 29;
export const RANDOM_BYTES = 16;
export const TAKE_BYTES = HEADER_BYTES + 8 + RANDOM_BYTES + 16;
export const CONTENTS = ['', 'DATA', 'PROBE', 'ANSWER', 'RECEIVED', 'LEAVE', 'END'] as const;

/** All of a datagram; throws if a byte of it does not make sense. */
export function cutDatagram(datagram: Buffer): WireRecord[] {
  const records: WireRecord[] = [];
  for (let at = 0; at < datagram.length;) {
    if (datagram.length - at < HEADER_BYTES) throw new Error('too short for a header');
    const type = datagram.readUInt8(at);
    if (type !== TAKE_OVER && type !== SEALED) throw new Error(`type ${type}`);
    if (datagram.readUInt16BE(at + 1) !== 0x0303) throw new Error('version');
    const end = at + 5 + datagram.readUInt16BE(at + 3);
    if (end > datagram.length || end < at + HEADER_BYTES) throw new Error('length');
    records.push({
      type,
      association: datagram.toString('hex', at + 5, at + 13),
      epoch: datagram.toString('hex', at + 13, at + 21),
      sequence: datagram.readBigUInt64BE(at + 21),
      bytes: datagram.subarray(at, end),
    });
    at = end;
  }
  return records;
}

/** What follows the header of a TAKE. */
export function takeOf({ bytes }: WireRecord) {
  return {
    triggerEpoch: bytes.toString('hex', HEADER_BYTES, HEADER_BYTES + 8),
    nodeRandom: bytes.subarray(HEADER_BYTES + 8, TAKE_BYTES - 16),
    mac: bytes.subarray(TAKE_BYTES - 16),
  };
}

/** The first 16 bytes of HMAC-SHA-256 under `take` over all before. */
export function takeMac(secret: Uint8Array, { association, bytes }: WireRecord): Buffer {
  const key = expand(secret, 'take', [Buffer.from(association, 'hex')], 32);
  const over = bytes.subarray(0, TAKE_BYTES - 16);
  return createHmac('sha256', key).update(over).digest().subarray(0, 16);
}

/** Shows the secret on the TLS connection that exported so. */
export function adoptionProof(secret: Uint8Array, association: string, exported: Uint8Array) {
  const key = expand(secret, 'adopt', [Buffer.from(association, 'hex')], 32);
  return createHmac('sha256', key).update(exported).digest();
}

/** One direction of an epoch. */
export interface WireSeal {
  readonly key: Buffer;
  /** What must never come twice: the key, and the nonce or IV of the record. */
  use(record: WireRecord, clearBytes: number): string;
  /** Throws if the seal is broken. */
  open(record: WireRecord, clearBytes: number): Buffer;
}

export interface WireEpoch {
  readonly association: string;
  readonly epoch: string;
  readonly nodeRandom: Uint8Array;
  readonly clientRandom: Uint8Array;
}

type Way = 'client to node' | 'node to client';
type Aead = keyof typeof AEADS;
export type WireSuite = Aead | 'aes-128-cbc-hmac-sha256';

const AEADS = {
  'aes-128-gcm': { number: 1, keyBytes: 16 },
  'aes-256-gcm': { number: 2, keyBytes: 32 },
  'chacha20-poly1305': { number: 3, keyBytes: 32 },
} as const;
const TAG = { authTagLength: 16 };

export function wireSeal(
  suite: WireSuite,
  secret: Uint8Array,
  way: Way,
  epoch: WireEpoch,
): WireSeal {
  if (suite === 'aes-128-cbc-hmac-sha256') return new CbcSeal(secret, way, epoch);
  return new AeadSeal(suite, secret, way, epoch);
}

/** Suites 1 to 3: nonce and IV are combined. */
export class AeadSeal implements WireSeal {
  readonly key: Buffer;
  readonly #suite: Aead;
  readonly #iv: Buffer;

  constructor(suite: Aead, secret: Uint8Array, way: Way, epoch: WireEpoch) {
    const { number, keyBytes } = AEADS[suite];
    const material = expand(secret, way, namesOf(number, epoch), keyBytes + 12);
    this.#suite = suite;
    this.key = material.subarray(0, keyBytes);
    this.#iv = material.subarray(keyBytes);
  }

  use({ sequence }: WireRecord): string {
    return Buffer.concat([this.key, this.#nonce(sequence)]).toString('hex');
  }

  open({ bytes, sequence }: WireRecord, clearBytes: number): Buffer {
    const nonce = this.#nonce(sequence);
    // Typed as a GCM one; the other takes the same.
    const decipher = createDecipheriv(this.#suite as 'aes-128-gcm', this.key, nonce, TAG);
    decipher.setAAD(bytes.subarray(0, clearBytes)).setAuthTag(bytes.subarray(-16));
    return Buffer.concat([decipher.update(bytes.subarray(clearBytes, -16)), decipher.final()]);
  }

  /** `clear`: the header, and what follows it in clear. */
  seal(clear: Buffer, sequence: bigint, content: Uint8Array): Buffer {
    const nonce = this.#nonce(sequence);
    const cipher = createCipheriv(this.#suite as 'aes-128-gcm', this.key, nonce, TAG).setAAD(clear);
    const sealed = [cipher.update(content), cipher.final()];
    return Buffer.concat([clear, ...sealed, cipher.getAuthTag()]);
  }

  #nonce(sequence: bigint): Buffer {
    const nonce = Buffer.from(this.#iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ sequence, 4);
    return nonce;
  }
}

/** Suite 4: a random IV in each record, encrypted first and then authenticated. */
class CbcSeal implements WireSeal {
  readonly key: Buffer;
  readonly #macKey: Buffer;

  constructor(secret: Uint8Array, way: Way, epoch: WireEpoch) {
    const material = expand(secret, way, namesOf(4, epoch), 48);
    this.key = material.subarray(0, 16);
    this.#macKey = material.subarray(16);
  }

  use({ bytes }: WireRecord, clearBytes: number): string {
    return Buffer.concat([this.key, bytes.subarray(clearBytes, clearBytes + 16)]).toString('hex');
  }

  open({ bytes }: WireRecord, clearBytes: number): Buffer {
    const mac = createHmac('sha256', this.#macKey).update(bytes.subarray(0, -32)).digest();
    if (!mac.equals(bytes.subarray(-32))) throw new Error('the HMAC of a record');
    const iv = bytes.subarray(clearBytes, clearBytes + 16);
    const decipher = createDecipheriv('aes-128-cbc', this.key, iv);
    const sealed = bytes.subarray(clearBytes + 16, -32);
    return Buffer.concat([decipher.update(sealed), decipher.final()]);
  }
}

function namesOf(suite: number, { association, epoch, nodeRandom, clientRandom }: WireEpoch) {
  return [Buffer.of(suite), Buffer.from(association + epoch, 'hex'), nodeRandom, clientRandom];
}

export function header(record: Omit<WireRecord, 'bytes'>, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt8(record.type);
  bytes.writeUInt16BE(0x0303, 1);
  bytes.writeUInt16BE(sizeBytes - 5, 3);
  bytes.write(record.association + record.epoch, 5, 'hex');
  bytes.writeBigUInt64BE(record.sequence, 21);
  return bytes;
}

export function hello(association: string, sequence: bigint): Buffer {
  const record = { type: TAKE_OVER, association, epoch: NO_EPOCH, sequence };
  const rest = Buffer.alloc(TAKE_BYTES - HEADER_BYTES);
  return Buffer.concat([header(record, TAKE_BYTES), rest]);
}

function expand(secret: Uint8Array, label: string, names: readonly Uint8Array[], bytes: number) {
  const info = Buffer.concat([Buffer.from(label), ...names]);
  return Buffer.from(hkdfSync('sha256', secret, 'argyle udp 1', info, bytes));
}
