import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import type { RecordCipher, Suite } from './suite.ts';

const CIPHER = 'aes-128-cbc';
const KEY_BYTES = 16;
const MAC_KEY_BYTES = 32;
const BLOCK_BYTES = 16;
const IV_BYTES = BLOCK_BYTES;
const MAC_BYTES = 32;
/** Drawn at once: each draw is a call to the kernel. */
const IVS_AHEAD = 16;

/**
 * AES-128-CBC and HMAC-SHA-256 with nonce and IV separate (the patent, FIG. 5A and 5B): the
 * sequence is in the header, a random IV in the record, and the cipher's blocks are chained inside
 * the record only (FIG. 5C). Encrypted first, then authenticated, header and IV included (RFC
 * 7366), so padding is looked at only in what was sealed.
 */
export class CbcCipher implements RecordCipher {
  readonly #key: Buffer;
  readonly #macKey: Buffer;
  readonly #random: (sizeBytes: number) => Uint8Array;
  #ivs = new Uint8Array(0);
  #ivAt = 0;

  static suite(number: number): Suite {
    return {
      number,
      materialBytes: KEY_BYTES + MAC_KEY_BYTES,
      sizeBytes: (headerBytes, contentBytes) =>
        headerBytes + IV_BYTES + paddedBytes(contentBytes) + MAC_BYTES,
      cipher: (material, random) => new CbcCipher(material, random),
    };
  }

  private constructor(material: Buffer, random: (sizeBytes: number) => Uint8Array) {
    this.#key = material.subarray(0, KEY_BYTES);
    this.#macKey = material.subarray(KEY_BYTES);
    this.#random = random;
  }

  seal(header: Buffer, _sequence: number, content: Uint8Array): Buffer {
    const iv = this.#nextIv();
    const cipher = createCipheriv(CIPHER, this.#key, iv);
    const blocksAt = header.length + IV_BYTES;
    const macAt = blocksAt + paddedBytes(content.length);
    const record = Buffer.allocUnsafe(macAt + MAC_BYTES);
    record.set(header);
    record.set(iv, header.length);
    const blocks = cipher.update(content);
    record.set(blocks, blocksAt);
    record.set(cipher.final(), blocksAt + blocks.length);
    record.set(this.#mac(record, macAt), macAt);
    return record;
  }

  open(record: Buffer, headerBytes: number): Buffer | undefined {
    const macAt = record.length - MAC_BYTES;
    const blocksAt = headerBytes + IV_BYTES;
    if (macAt < blocksAt + BLOCK_BYTES || (macAt - blocksAt) % BLOCK_BYTES !== 0) return undefined;
    if (!timingSafeEqual(this.#mac(record, macAt), record.subarray(macAt))) return undefined;
    const iv = record.subarray(headerBytes, blocksAt);
    const decipher = createDecipheriv(CIPHER, this.#key, iv);
    try {
      return Buffer.concat([decipher.update(record.subarray(blocksAt, macAt)), decipher.final()]);
    } catch {
      return undefined;
    }
  }

  /** Of all before it. */
  #mac(record: Buffer, macAt: number): Buffer {
    return createHmac('sha256', this.#macKey).update(record.subarray(0, macAt)).digest();
  }

  /** None is used twice. */
  #nextIv(): Uint8Array {
    if (this.#ivAt === this.#ivs.length) {
      this.#ivs = Uint8Array.from(this.#random(IVS_AHEAD * IV_BYTES));
      this.#ivAt = 0;
    }
    const iv = this.#ivs.subarray(this.#ivAt, this.#ivAt + IV_BYTES);
    this.#ivAt += IV_BYTES;
    return iv;
  }
}

/** PKCS #7 (RFC 5652 §6.3): at least one byte. */
function paddedBytes(contentBytes: number): number {
  return contentBytes + BLOCK_BYTES - (contentBytes % BLOCK_BYTES);
}
