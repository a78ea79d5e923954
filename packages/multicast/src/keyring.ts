import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { type Endpoint, readCount, writeCount } from '@argyle/host';
import { Derivations } from './derivations.ts';
import {
  CLUSTER_ID_BYTES,
  CLUSTER_ID_OFFSET,
  encodeHeader,
  HEADER_BYTES,
  INCARNATION_BYTES,
  INCARNATION_OFFSET,
  KEY_ID_BYTES,
  KEY_ID_OFFSET,
  OVERHEAD_BYTES,
  PACKET_OFFSET,
  SEGMENT_VERSION,
  TAG_BYTES,
} from './segment.ts';

export const CLUSTER_KEY_BYTES = 32;

/** HKDF-SHA-256 (RFC 5869) of the cluster key; every label is here and in PROTOCOL.md. */
const SALT = 'argyle group 1';
const Label = {
  cluster: 'cluster id',
  key: 'key id',
  segment: 'segment',
  link: 'link',
  digest: 'digest',
} as const;

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
/** Keys of incarnations that have not yet sealed anything that opened. */
const UNPROVEN_KEYS_MAX = 256;
/** Keys of those that have, and are no members: joiners, and the dead in recordings. */
const STRANGERS_KEYS_MAX = 1_024;

export type OpenRefusal =
  'short' | 'version' | 'cluster' | 'key' | 'derivations' | 'authentication';

export interface OpenedSegment {
  readonly kind: number;
  /** Hexadecimal. */
  readonly incarnation: string;
  readonly packet: number;
  readonly body: Buffer;
}

/**
 * Seals and opens a group's segments. The key belongs to the sender's incarnation and the nonce is
 * its packet number, so no pair of key and nonce comes twice: an incarnation is 16 bytes drawn at
 * each start, and `seal` alone counts its packets.
 */
export class Keyring {
  readonly clusterId: Buffer;
  readonly linkKey: Buffer;
  readonly digestKey: Buffer;
  readonly #clusterKey: Uint8Array;
  readonly #keyId: Buffer;
  readonly #members = new Map<string, Buffer>();
  readonly #strangers = new Map<string, Buffer>();
  readonly #unproven = new Map<string, Buffer>();
  readonly #derivations: Derivations;
  #own: { incarnation: Buffer; key: Buffer; packet: number };

  /** `expects`: whose unknown incarnations come first, see Derivations. */
  constructor(clusterKey: Uint8Array, expects: (from: Endpoint) => boolean = () => false) {
    this.#derivations = new Derivations(expects);
    if (clusterKey.length !== CLUSTER_KEY_BYTES) {
      throw new RangeError(
        `a cluster key has ${CLUSTER_KEY_BYTES} bytes, not ${clusterKey.length}`,
      );
    }
    this.#clusterKey = Uint8Array.from(clusterKey);
    this.clusterId = this.#derive(Label.cluster, CLUSTER_ID_BYTES);
    this.#keyId = this.#derive(Label.key, KEY_ID_BYTES);
    this.linkKey = this.#derive(Label.link, 32);
    this.digestKey = this.#derive(Label.digest, 16);
    this.#own = { incarnation: Buffer.alloc(0), key: Buffer.alloc(0), packet: 0 };
  }

  /**
   * From here on segments are sealed as a new incarnation's, which knows no member; packet numbers
   * begin again.
   */
  adopt(incarnation: Uint8Array): void {
    const own = Buffer.from(incarnation);
    for (const [name, key] of this.#members) this.#meet(name, key);
    this.#members.clear();
    this.#own = { incarnation: own, key: this.#segmentKey(own), packet: 0 };
  }

  seal(kind: number, body: Uint8Array): Buffer {
    this.#own.packet += 1;
    const header = encodeHeader({
      kind,
      keyId: this.#keyId,
      clusterId: this.clusterId,
      incarnation: this.#own.incarnation,
      packet: this.#own.packet,
    });
    const cipher = createCipheriv(CIPHER, this.#own.key, nonce(this.#own.packet));
    cipher.setAAD(header);
    return Buffer.concat([header, cipher.update(body), cipher.final(), cipher.getAuthTag()]);
  }

  open(bytes: Uint8Array, from: Endpoint, now: number): OpenedSegment | OpenRefusal {
    const segment = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (segment.length < OVERHEAD_BYTES) return 'short';
    if (segment[0] !== SEGMENT_VERSION) return 'version';
    if (!this.clusterId.equals(field(segment, CLUSTER_ID_OFFSET, CLUSTER_ID_BYTES))) {
      return 'cluster';
    }
    if (!this.#keyId.equals(field(segment, KEY_ID_OFFSET, KEY_ID_BYTES))) return 'key';
    const incarnation = field(segment, INCARNATION_OFFSET, INCARNATION_BYTES);
    const name = incarnation.toString('hex');
    const key = this.#keyOf(name, incarnation, from, now);
    if (!key) return 'derivations';
    const packet = readCount(segment, PACKET_OFFSET);
    const body = decrypt(segment, key, packet);
    if (!body) {
      if (this.#unproven.has(name)) this.#derivations.suspect(from.address, now);
      return 'authentication';
    }
    this.#prove(name, key);
    return { kind: segment[1] ?? 0, incarnation: name, packet, body };
  }

  /** It is a member: its key stays until it is forgotten, however many strangers come. */
  admit(incarnation: string): void {
    const key = this.#strangers.get(incarnation);
    if (!key) return;
    this.#strangers.delete(incarnation);
    this.#members.set(incarnation, key);
  }

  /** Its key is needed no more. */
  forget(incarnation: string): void {
    this.#members.delete(incarnation);
  }

  #keyOf(name: string, incarnation: Buffer, from: Endpoint, now: number): Buffer | undefined {
    if (incarnation.equals(this.#own.incarnation)) return this.#own.key;
    const known = this.#members.get(name) ?? this.#strangers.get(name) ?? this.#unproven.get(name);
    if (known) return known;
    if (!this.#derivations.take(from, now)) return undefined;
    const key = this.#segmentKey(incarnation);
    bounded(this.#unproven, UNPROVEN_KEYS_MAX);
    this.#unproven.set(name, key);
    return key;
  }

  #prove(name: string, key: Buffer): void {
    if (this.#unproven.delete(name)) this.#meet(name, key);
  }

  #meet(name: string, key: Buffer): void {
    bounded(this.#strangers, STRANGERS_KEYS_MAX);
    this.#strangers.set(name, key);
  }

  #segmentKey(incarnation: Uint8Array): Buffer {
    return this.#derive(Buffer.concat([Buffer.from(Label.segment), incarnation]), 32);
  }

  #derive(info: string | Uint8Array, sizeBytes: number): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#clusterKey, SALT, info, sizeBytes));
  }
}

function field(segment: Buffer, offset: number, sizeBytes: number): Buffer {
  return segment.subarray(offset, offset + sizeBytes);
}

function nonce(packet: number): Buffer {
  const bytes = Buffer.alloc(NONCE_BYTES);
  writeCount(bytes, packet, NONCE_BYTES - 8);
  return bytes;
}

function decrypt(segment: Buffer, key: Buffer, packet: number): Buffer | undefined {
  if (packet === Infinity) return undefined;
  const tagAt = segment.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, nonce(packet), { authTagLength: TAG_BYTES });
  decipher.setAAD(segment.subarray(0, HEADER_BYTES));
  decipher.setAuthTag(segment.subarray(tagAt));
  const body = decipher.update(segment.subarray(HEADER_BYTES, tagAt));
  try {
    decipher.final();
    return body;
  } catch {
    return undefined;
  }
}

/** Makes room for one more by forgetting the oldest. */
function bounded(map: Map<string, unknown>, limit: number): void {
  if (map.size < limit) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}
