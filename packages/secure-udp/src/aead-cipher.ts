import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
} from 'node:crypto';
import type { RecordCipher, Suite } from './suite.ts';

const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const OPTIONS = { authTagLength: TAG_BYTES } as const;

/**
 * An AEAD with nonce and IV combined (the patent, FIG. 5A; RFC 8446 §5.3): the sequence, XORed into
 * the last bytes of a static IV that was derived with the key.
 */
export class AeadCipher implements RecordCipher {
  readonly #name: CipherGCMTypes;
  readonly #key: KeyObject;
  readonly #nonce: Buffer;
  readonly #ivHigh: number;
  readonly #ivLow: number;

  static suite(
    number: number,
    name: CipherGCMTypes | 'chacha20-poly1305',
    keyBytes: number,
  ): Suite {
    return {
      number,
      materialBytes: keyBytes + NONCE_BYTES,
      sizeBytes: (headerBytes, contentBytes) => headerBytes + contentBytes + TAG_BYTES,
      // The types of createCipheriv know ChaCha20-Poly1305 by another name, for the same object.
      cipher: (material) => new AeadCipher(name as CipherGCMTypes, keyBytes, material),
    };
  }

  private constructor(name: CipherGCMTypes, keyBytes: number, material: Buffer) {
    this.#name = name;
    this.#key = createSecretKey(material.subarray(0, keyBytes));
    this.#nonce = Buffer.from(material.subarray(keyBytes));
    this.#ivHigh = this.#nonce.readUInt32BE(NONCE_BYTES - 8);
    this.#ivLow = this.#nonce.readUInt32BE(NONCE_BYTES - 4);
  }

  seal(header: Buffer, sequence: number, content: Uint8Array): Buffer {
    const cipher = createCipheriv(this.#name, this.#key, this.#nonceOf(sequence), OPTIONS);
    cipher.setAAD(header);
    const ciphertext = cipher.update(content);
    cipher.final();
    return Buffer.concat([header, ciphertext, cipher.getAuthTag()]);
  }

  open(record: Buffer, headerBytes: number, sequence: number): Buffer | undefined {
    const tagAt = record.length - TAG_BYTES;
    if (tagAt < headerBytes) return undefined;
    const decipher = createDecipheriv(this.#name, this.#key, this.#nonceOf(sequence), OPTIONS);
    decipher.setAAD(record.subarray(0, headerBytes));
    decipher.setAuthTag(record.subarray(tagAt));
    const content = decipher.update(record.subarray(headerBytes, tagAt));
    try {
      decipher.final();
      return content;
    } catch {
      return undefined;
    }
  }

  #nonceOf(sequence: number): Buffer {
    const nonce = this.#nonce;
    nonce.writeUInt32BE((this.#ivHigh ^ (sequence / 0x1_0000_0000)) >>> 0, NONCE_BYTES - 8);
    nonce.writeUInt32BE((this.#ivLow ^ (sequence % 0x1_0000_0000)) >>> 0, NONCE_BYTES - 4);
    return nonce;
  }
}
