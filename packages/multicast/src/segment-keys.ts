import { CLUSTER_KEY_BYTES, derive, keyId, Label } from './cluster-keys.ts';

/** Keys of incarnations that have not yet sealed anything that opened. */
const UNPROVEN_KEYS_MAX = 256;
/** Keys of those that have, and are no members: joiners, and the dead in recordings. */
const STRANGERS_KEYS_MAX = 1_024;
const LINK_KEY_BYTES = 32;

/** The keys of incarnations under one key of the ring. Names of incarnations are hexadecimal. */
export class SegmentKeys {
  /** Hexadecimal. */
  readonly id: string;
  readonly idBytes: Buffer;
  readonly linkKey: Buffer;
  readonly #clusterKey: Uint8Array;
  readonly #members = new Map<string, Buffer>();
  readonly #strangers = new Map<string, Buffer>();
  readonly #unproven = new Map<string, Buffer>();

  constructor(clusterKey: Uint8Array) {
    if (clusterKey.length !== CLUSTER_KEY_BYTES) {
      throw new RangeError(
        `a cluster key has ${CLUSTER_KEY_BYTES} bytes, not ${clusterKey.length}`,
      );
    }
    this.#clusterKey = Uint8Array.from(clusterKey);
    this.id = keyId(clusterKey);
    this.idBytes = Buffer.from(this.id, 'hex');
    this.linkKey = derive(clusterKey, Label.link, LINK_KEY_BYTES);
  }

  derive(incarnation: Uint8Array): Buffer {
    return derive(this.#clusterKey, Buffer.concat([Buffer.from(Label.segment), incarnation]), 32);
  }

  /** Undefined for one whose key is not at hand, or was forgotten for want of room. */
  of(name: string): Buffer | undefined {
    return this.#members.get(name) ?? this.#strangers.get(name) ?? this.#unproven.get(name);
  }

  /** Derives the key of one that may be made up. */
  meet(name: string, incarnation: Uint8Array): Buffer {
    const key = this.derive(incarnation);
    put(this.#unproven, name, key, UNPROVEN_KEYS_MAX);
    return key;
  }

  isUnproven(name: string): boolean {
    return this.#unproven.has(name);
  }

  /** Something that it sealed has opened. */
  prove(name: string): void {
    const key = this.#unproven.get(name);
    if (!key) return;
    this.#unproven.delete(name);
    put(this.#strangers, name, key, STRANGERS_KEYS_MAX);
  }

  /** It is a member: its key stays, whether it seals with this one or will. */
  admit(name: string): void {
    const key = this.of(name) ?? this.derive(Buffer.from(name, 'hex'));
    this.#strangers.delete(name);
    this.#unproven.delete(name);
    this.#members.set(name, key);
  }

  forget(name: string): void {
    this.#members.delete(name);
  }

  /** Nobody is a member any more; who was is known. */
  dismiss(): void {
    for (const [name, key] of this.#members) put(this.#strangers, name, key, STRANGERS_KEYS_MAX);
    this.#members.clear();
  }
}

/** Makes room by forgetting the oldest. */
function put(map: Map<string, Buffer>, name: string, key: Buffer, limit: number): void {
  const oldest = map.size < limit ? undefined : map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
  map.set(name, key);
}
