import { createHmac, timingSafeEqual } from 'node:crypto';
import { type RecordCipher, type SuiteName, SUITES } from './suite.ts';

export const SECRET_BYTES = 32;
/** Of the MAC in a TAKE. */
export const TAKE_MAC_BYTES = 16;
/** Of a TLS connection's exported keying material that an adoption is bound to. */
export const EXPORTER_BYTES = 32;

/** HKDF-SHA-256 (RFC 5869) of an association's secret; every label is here and in PROTOCOL.md. */
const SALT = 'argyle udp 1';
const Label = {
  take: 'take',
  adopt: 'adopt',
  clientToNode: 'client to node',
  nodeToClient: 'node to client',
} as const;
const HASH_BYTES = 32;

/** The ciphers of one epoch. */
export interface EpochCiphers {
  readonly clientToNode: RecordCipher;
  readonly nodeToClient: RecordCipher;
}

/** What an epoch's keys are derived from, besides the secret. */
export interface EpochNames {
  readonly epoch: Uint8Array;
  readonly nodeRandom: Uint8Array;
  readonly clientRandom: Uint8Array;
}

/**
 * The keys of one association. Those of an epoch hold a random number of each side, so that neither
 * brings a key back by itself, and the suite, so that no key serves two.
 */
export class AssociationKeys {
  readonly #id: Buffer;
  readonly #suite: SuiteName;
  readonly #random: (sizeBytes: number) => Uint8Array;
  readonly #extracted: Buffer;
  readonly #takeKey: Buffer;

  /** `random` is for the records' IVs; `id` is hexadecimal. */
  constructor(options: {
    readonly id: string;
    readonly secret: Uint8Array;
    readonly suite: SuiteName;
    readonly random: (sizeBytes: number) => Uint8Array;
  }) {
    this.#id = Buffer.from(options.id, 'hex');
    this.#suite = options.suite;
    this.#random = options.random;
    this.#extracted = hmac(Buffer.from(SALT), options.secret);
    this.#takeKey = this.#expand(Label.take, [this.#id], HASH_BYTES);
  }

  /** Of all of a TAKE that stands before it. */
  takeMac(bytes: Uint8Array): Buffer {
    return hmac(this.#takeKey, bytes).subarray(0, TAKE_MAC_BYTES);
  }

  /** Shows, on the TLS connection that exported so, that one has the secret. */
  adoptionProof(exported: Uint8Array): Buffer {
    if (exported.length !== EXPORTER_BYTES) {
      throw new RangeError(`an exporter of ${EXPORTER_BYTES} bytes, not ${exported.length}`);
    }
    return hmac(this.#expand(Label.adopt, [this.#id], HASH_BYTES), exported);
  }

  /** In constant time. */
  verifiesAdoption(exported: Uint8Array, proof: Uint8Array): boolean {
    const expected = this.adoptionProof(exported);
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }

  epochCiphers({ epoch, nodeRandom, clientRandom }: EpochNames): EpochCiphers {
    const suite = SUITES[this.#suite];
    const names = [Buffer.of(suite.number), this.#id, epoch, nodeRandom, clientRandom];
    const cipher = (label: string) =>
      suite.cipher(this.#expand(label, names, suite.materialBytes), this.#random);
    return { clientToNode: cipher(Label.clientToNode), nodeToClient: cipher(Label.nodeToClient) };
  }

  /** RFC 5869 §2.3. */
  #expand(label: string, names: readonly Uint8Array[], sizeBytes: number): Buffer {
    const info = Buffer.concat([Buffer.from(label), ...names]);
    const blocks: Buffer[] = [];
    let last: Buffer = Buffer.alloc(0);
    for (let count = 1; blocks.length * HASH_BYTES < sizeBytes; count += 1) {
      last = hmac(this.#extracted, Buffer.concat([last, info, Buffer.of(count)]));
      blocks.push(last);
    }
    return Buffer.concat(blocks).subarray(0, sizeBytes);
  }
}

function hmac(key: Uint8Array, bytes: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes).digest();
}
