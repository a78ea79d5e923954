import { HEADER_BYTES, RANDOM_BYTES, RecordType, writeHeader } from './record.ts';
import { type RecordCipher, type SuiteName, SUITES } from './suite.ts';
import { OPENING_BYTES } from './take.ts';

/** No epoch seals more: a side asks for another one long before (REKEY_RECORDS). */
export const SEQUENCE_LIMIT = 2 ** 28;

/** The sending half of an epoch: every record has the next sequence, and none comes twice. */
export class RecordSealer {
  readonly #suite: SuiteName;
  readonly #cipher: RecordCipher;
  readonly #header: Buffer;
  readonly #opening: Buffer;
  readonly #association: Buffer;
  readonly #epoch: Buffer;
  #next = 0;

  /** `clientRandom` is C, which opening records carry. */
  constructor(options: {
    readonly suite: SuiteName;
    readonly cipher: RecordCipher;
    readonly association: string;
    readonly epoch: string;
    readonly clientRandom: Uint8Array;
  }) {
    this.#suite = options.suite;
    this.#cipher = options.cipher;
    this.#association = Buffer.from(options.association, 'hex');
    this.#epoch = Buffer.from(options.epoch, 'hex');
    this.#header = Buffer.alloc(HEADER_BYTES);
    this.#opening = Buffer.alloc(OPENING_BYTES);
    this.#opening.set(options.clientRandom.subarray(0, RANDOM_BYTES), HEADER_BYTES);
  }

  /** The sequence of the next record, and how many were sealed. */
  get next(): number {
    return this.#next;
  }

  get exhausted(): boolean {
    return this.#next >= SEQUENCE_LIMIT;
  }

  /** Of a record with so large a content. */
  sizeBytes(contentBytes: number): number {
    return SUITES[this.#suite].sizeBytes(HEADER_BYTES, contentBytes);
  }

  /** Undefined when the epoch is exhausted. */
  seal(content: Uint8Array, form: 'sealed' | 'opening' = 'sealed'): Buffer | undefined {
    if (this.exhausted) return undefined;
    const header = form === 'opening' ? this.#opening : this.#header;
    const sequence = this.#next;
    this.#next += 1;
    writeHeader(header, {
      type: form === 'opening' ? RecordType.takeOver : RecordType.sealed,
      association: this.#association,
      epoch: this.#epoch,
      sequence,
      sizeBytes: SUITES[this.#suite].sizeBytes(header.length, content.length),
    });
    return this.#cipher.seal(header, sequence, content);
  }
}
