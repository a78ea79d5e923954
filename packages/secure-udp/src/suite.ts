import { AeadCipher } from './aead-cipher.ts';
import { CbcCipher } from './cbc-cipher.ts';

/** Seals and opens the records of one direction of an epoch. */
export interface RecordCipher {
  /**
   * A whole record. `header` has the header's bytes, `length` included, and all that follows them
   * in clear; it is authenticated. No sequence may come twice.
   */
  seal(header: Buffer, sequence: number, content: Uint8Array): Buffer;
  /** What was sealed; undefined if it was not, or not so. Never throws, whatever the bytes. */
  open(record: Buffer, headerBytes: number, sequence: number): Buffer | undefined;
}

export interface Suite {
  /** On the wire (in the association's record) and in the labels of keys. */
  readonly number: number;
  /** Key and static IV, or key and MAC key. */
  readonly materialBytes: number;
  /** Of a record whose content has so many bytes. */
  sizeBytes(headerBytes: number, contentBytes: number): number;
  /** `random`: unpredictable bytes for each record's IV, where the suite has one. */
  cipher(material: Buffer, random: (sizeBytes: number) => Uint8Array): RecordCipher;
}

export type SuiteName =
  'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305' | 'aes-128-cbc-hmac-sha256';

/** Numbers are never given a second meaning. */
export const SUITES: Readonly<Record<SuiteName, Suite>> = {
  'aes-128-gcm': AeadCipher.suite(1, 'aes-128-gcm', 16),
  'aes-256-gcm': AeadCipher.suite(2, 'aes-256-gcm', 32),
  'chacha20-poly1305': AeadCipher.suite(3, 'chacha20-poly1305', 32),
  'aes-128-cbc-hmac-sha256': CbcCipher.suite(4),
};

export const DEFAULT_SUITE: SuiteName = 'aes-128-gcm';

const NAMES = new Map<number, SuiteName>(
  Object.entries(SUITES).map(([name, { number }]) => [number, name as SuiteName]),
);

export function suiteName(number: number): SuiteName | undefined {
  return NAMES.get(number);
}
