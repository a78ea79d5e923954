import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, type DecipherGCM } from 'node:crypto';
import { type Endpoint, type LinkKey, readCount, writeCount } from '@argyle/host';
import { CLUSTER_KEYS_MAX, type ClusterKeys, soleKey } from './cluster-keys.ts';
import { Derivations } from './derivations.ts';
import { SealedLately } from './sealed-lately.ts';
import { SegmentKeys } from './segment-keys.ts';
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

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
/** Identity of links' pre-shared keys (RFC 8446 §4.2.11), before the key's id. */
const LINK_IDENTITY = 'argyle link 1 ';

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
 * Seals and opens a group's segments. The key belongs to a key of the ring and to the sender's
 * incarnation, and the nonce is its packet number, so no pair of key and nonce comes twice: an
 * incarnation is 16 bytes drawn at each start, and `seal` alone counts its packets.
 */
export class Keyring {
  readonly clusterId: Buffer;
  readonly digestKey: Buffer;
  /** The first seals. */
  #ring: readonly SegmentKeys[];
  readonly #members = new Set<string>();
  readonly #derivations: Derivations;
  #own = { incarnation: Buffer.alloc(0), name: '', packet: 0 };
  readonly #lately = new SealedLately();
  #sealing: { keys: SegmentKeys; key: Buffer };

  /** `expects`: whose unknown incarnations come first, see Derivations. */
  constructor(
    clusterKey: Uint8Array | ClusterKeys,
    expects: (from: Endpoint) => boolean = () => false,
  ) {
    this.#derivations = new Derivations(expects);
    const { clusterId, digestKey, keys } = ringOf(clusterKey);
    this.clusterId = Buffer.from(clusterId);
    this.digestKey = Buffer.from(digestKey);
    this.#ring = keys.map((key) => new SegmentKeys(key));
    this.#sealing = this.#sealWithFirst();
  }

  /** Ids of the ring's keys in hexadecimal, the one that seals first. */
  get ids(): readonly string[] {
    return this.#ring.map(({ id }) => id);
  }

  /** Pre-shared keys of links: the first opens them, all are taken. */
  get linkKeys(): readonly LinkKey[] {
    return this.#ring.map(({ id, linkKey }) => ({ identity: LINK_IDENTITY + id, key: linkKey }));
  }

  /**
   * Takes other keys in place of those it has: from here on the first seals, and only they open.
   * Packet numbers go on, and members stay. False when they are another cluster's: nothing changed.
   */
  take(clusterKeys: Uint8Array | ClusterKeys): boolean {
    const { clusterId, digestKey, keys } = ringOf(clusterKeys);
    if (!this.clusterId.equals(clusterId) || !this.digestKey.equals(digestKey)) return false;
    this.#ring = keys.map((key) => {
      const taken = new SegmentKeys(key);
      const known = this.#ring.find(({ id }) => id === taken.id);
      if (!known) for (const name of this.#members) taken.admit(name);
      return known ?? taken;
    });
    this.#sealing = this.#sealWithFirst();
    return true;
  }

  /**
   * From here on segments are sealed as a new incarnation's, which knows no member; packet numbers
   * begin again.
   */
  adopt(incarnation: Uint8Array): void {
    const own = Buffer.from(incarnation);
    for (const keys of this.#ring) keys.dismiss();
    this.#members.clear();
    this.#lately.clear();
    this.#own = { incarnation: own, name: own.toString('hex'), packet: 0 };
    this.#sealing = this.#sealWithFirst();
  }

  /** The body must not change any more. */
  seal(kind: number, body: Uint8Array): Buffer {
    this.#own.packet += 1;
    const { keys, key } = this.#sealing;
    const header = encodeHeader({
      kind,
      keyId: keys.idBytes,
      clusterId: this.clusterId,
      incarnation: this.#own.incarnation,
      packet: this.#own.packet,
    });
    const cipher = createCipheriv(CIPHER, key, nonce(this.#own.packet));
    cipher.setAAD(header);
    const ciphertext = cipher.update(body);
    cipher.final();
    const tag = cipher.getAuthTag();
    this.#lately.add(this.#own.packet, header, tag, body);
    return Buffer.concat([header, ciphertext, tag]);
  }

  open(bytes: Uint8Array, from: Endpoint, now: number): OpenedSegment | OpenRefusal {
    const segment = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (segment.length < OVERHEAD_BYTES) return 'short';
    if (segment[0] !== SEGMENT_VERSION) return 'version';
    if (!this.clusterId.equals(field(segment, CLUSTER_ID_OFFSET, CLUSTER_ID_BYTES))) {
      return 'cluster';
    }
    const id = field(segment, KEY_ID_OFFSET, KEY_ID_BYTES);
    const keys = this.#ring.find(({ idBytes }) => idBytes.equals(id));
    if (!keys) return 'key';
    const incarnation = field(segment, INCARNATION_OFFSET, INCARNATION_BYTES);
    const name = incarnation.toString('hex');
    const key = this.#keyOf(keys, name, incarnation, from, now);
    if (!key) return 'derivations';
    const packet = readCount(segment, PACKET_OFFSET);
    const own = name === this.#own.name ? this.#lately.take(segment, packet) : undefined;
    const body = own ?? decrypt(segment, key, packet);
    if (!body) {
      if (keys.isUnproven(name)) this.#derivations.suspect(from.address, now);
      return 'authentication';
    }
    keys.prove(name);
    return { kind: segment[1] ?? 0, incarnation: name, packet, body };
  }

  /** It is a member: its keys stay until it is forgotten, however many strangers come. */
  admit(incarnation: string): void {
    this.#members.add(incarnation);
    for (const keys of this.#ring) keys.admit(incarnation);
  }

  /** Its keys are needed no more. */
  forget(incarnation: string): void {
    this.#members.delete(incarnation);
    for (const keys of this.#ring) keys.forget(incarnation);
  }

  /** Its own incarnation's keys are kept as a member's are: own segments come back under each. */
  #sealWithFirst(): { keys: SegmentKeys; key: Buffer } {
    const { incarnation, name } = this.#own;
    for (const keys of this.#ring) if (name !== '') keys.admit(name);
    const [keys] = this.#ring;
    assert(keys, 'a ring has a key');
    return { keys, key: keys.derive(incarnation) };
  }

  #keyOf(
    keys: SegmentKeys,
    name: string,
    incarnation: Buffer,
    from: Endpoint,
    now: number,
  ): Buffer | undefined {
    const known = keys.of(name);
    if (known) return known;
    if (!this.#derivations.take(from, now)) return undefined;
    return keys.meet(name, incarnation);
  }
}

/** Throws a RangeError for what is no ring. */
function ringOf(said: Uint8Array | ClusterKeys): ClusterKeys {
  const ring = said instanceof Uint8Array ? soleKey(said) : said;
  const { length } = ring.keys;
  if (length === 0 || length > CLUSTER_KEYS_MAX) {
    throw new RangeError(`a ring has 1 to ${CLUSTER_KEYS_MAX} keys, not ${length}`);
  }
  return ring;
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
  return isAuthentic(decipher) ? body : undefined;
}

/** The stack of the error that says no would cost a third of what opening does. */
function isAuthentic(decipher: DecipherGCM): boolean {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    decipher.final();
    return true;
  } catch {
    return false;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
