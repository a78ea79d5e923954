import { UDP_BIT } from './record.ts';

/**
 * `secure`: a record of secure UDP. `conventional`: a SOCKS UDP header (RFC 1928 §7, which begins
 * with two zero bytes). `other`: neither.
 */
export type Detected = 'secure' | 'conventional' | 'other';

/**
 * The patent's record detector (FIG. 3A, 3021; FIG. 3B, 3015): which of two processings a datagram
 * goes to, so that one port serves conventional SOCKS clients and secure ones. It looks at no more
 * than two bytes and promises nothing of the others.
 */
export function detectRecord(datagram: Uint8Array): Detected {
  const first = datagram[0] ?? 0;
  if ((first & UDP_BIT) !== 0) return 'secure';
  return first === 0 && datagram[1] === 0 ? 'conventional' : 'other';
}
