import { AssociationKeys } from '../src/key-schedule.ts';
import type { SuiteName } from '../src/suite.ts';

/** Bytes from, from + 1, from + 2, …: what the test vectors of PROTOCOL.md use for random ones. */
export function counting(from: number, sizeBytes: number): Buffer {
  return Buffer.from(Array.from({ length: sizeBytes }, (_, index) => (from + index) & 0xff));
}

export const ID = '0001020304050607';
export const EPOCH = '1011121314151617';
export const SECRET = counting(0x40, 32);
export const NODE_RANDOM = counting(0x60, 16);
export const CLIENT_RANDOM = counting(0x70, 16);
export const IV = counting(0x80, 16);

export function keysOf(suite: SuiteName, secret: Uint8Array = SECRET): AssociationKeys {
  const random = (sizeBytes: number) => Buffer.alloc(sizeBytes, IV);
  return new AssociationKeys({ id: ID, secret, suite, random });
}

export function ciphersOf(suite: SuiteName) {
  const epoch = Buffer.from(EPOCH, 'hex');
  return keysOf(suite).epochCiphers({
    epoch,
    nodeRandom: NODE_RANDOM,
    clientRandom: CLIENT_RANDOM,
  });
}

/** As PROTOCOL.md prints them: eight bytes a word, four words a line. */
export function spacedHex(bytes: Uint8Array): string {
  const words = Buffer.from(bytes)
    .toString('hex')
    .match(/.{1,16}/g);
  const lines: string[] = [];
  for (let at = 0; at < (words?.length ?? 0); at += 4) {
    lines.push(words!.slice(at, at + 4).join(' '));
  }
  return lines.join('\n');
}
