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

/** One direction of an epoch, with the suite `aes-128-gcm`. */
export class WireSeal {
  readonly key: Buffer;
  readonly #iv: Buffer;

  constructor(
    secret: Uint8Array,
    direction: 'client to node' | 'node to client',
    epoch: {
      readonly association: string;
      readonly epoch: string;
      readonly nodeRandom: Uint8Array;
      readonly clientRandom: Uint8Array;
    },
  ) {
    const names = [Buffer.of(1), Buffer.from(epoch.association + epoch.epoch, 'hex')];
    const randoms = [epoch.nodeRandom, epoch.clientRandom];
    const material = expand(secret, direction, [...names, ...randoms], 28);
    this.key = material.subarray(0, 16);
    this.#iv = material.subarray(16);
  }

  /** What must never come twice: the key and the nonce of that sequence. */
  use(sequence: bigint): string {
    return Buffer.concat([this.key, this.#nonce(sequence)]).toString('hex');
  }

  /** Throws if the seal is broken. */
  open({ bytes, sequence }: WireRecord, clearBytes: number): Buffer {
    const decipher = createDecipheriv('aes-128-gcm', this.key, this.#nonce(sequence));
    decipher.setAAD(bytes.subarray(0, clearBytes)).setAuthTag(bytes.subarray(-16));
    return Buffer.concat([decipher.update(bytes.subarray(clearBytes, -16)), decipher.final()]);
  }

  /** `clear`: the header, and what follows it in clear. */
  seal(clear: Buffer, sequence: bigint, content: Uint8Array): Buffer {
    const cipher = createCipheriv('aes-128-gcm', this.key, this.#nonce(sequence)).setAAD(clear);
    const sealed = [cipher.update(content), cipher.final()];
    return Buffer.concat([clear, ...sealed, cipher.getAuthTag()]);
  }

  #nonce(sequence: bigint): Buffer {
    const nonce = Buffer.from(this.#iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ sequence, 4);
    return nonce;
  }
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
