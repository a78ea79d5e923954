import { Cursor } from './cursor.ts';

/**
 * The login of a lineage (DESIGN §7): the first one that any connection of it made.
 *
 * ```
 *  0        1        2                  18
 * +--------+--------+------------------+-------------
 * | format | flags  | credential (16)  | user (UTF-8)
 * +--------+--------+------------------+-------------
 * ```
 * Flag 0x01: stands in for a password on later connections that speak our ALPN.
 */
export interface LoginRecord {
  readonly user: string;
  /** A fingerprint of the user's entry when he logged in: a new password ends the login. */
  readonly credential: Uint8Array;
  readonly standsIn: boolean;
}

export const CREDENTIAL_BYTES = 16;
const FORMAT = 1;
const FLAG_STANDS_IN = 0x01;
const USER_AT = 2 + CREDENTIAL_BYTES;

export function encodeLoginRecord(record: LoginRecord): Uint8Array {
  const user = Buffer.from(record.user);
  const bytes = Buffer.alloc(USER_AT + user.length);
  bytes[0] = FORMAT;
  bytes[1] = record.standsIn ? FLAG_STANDS_IN : 0;
  bytes.set(record.credential, 2);
  bytes.set(user, USER_AT);
  return bytes;
}

/** Undefined for another format. */
export function decodeLoginRecord(bytes: Uint8Array): LoginRecord | undefined {
  const cursor = new Cursor(bytes);
  const format = cursor.uint(1);
  const flags = cursor.uint(1);
  const credential = cursor.take(CREDENTIAL_BYTES);
  const user = cursor.take(cursor.left).toString();
  if (cursor.broken || format !== FORMAT) return undefined;
  return { user, credential, standsIn: (flags & FLAG_STANDS_IN) !== 0 };
}
