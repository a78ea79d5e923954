/** RSV, FRAG, ATYP; an address of IPv4 or IPv6, or a length and a name; a port (RFC 1928 §7). */
const FIXED_BYTES = 4;
const PORT_BYTES = 2;
const ADDRESS_BYTES: Readonly<Record<number, number>> = { 1: 4, 4: 16 };
const NAME = 3;

/**
 * What a datagram of a node carries, a view; the header is not looked at any closer. Undefined for
 * a fragment, and for what has no header.
 */
export function dataOf(bytes: Uint8Array): Uint8Array | undefined {
  const [reserved, alsoReserved, fragment, type = 0, nameBytes = 0] = bytes;
  if (reserved !== 0 || alsoReserved !== 0 || fragment !== 0) return undefined;
  const addressBytes = type === NAME ? 1 + nameBytes : ADDRESS_BYTES[type];
  if (addressBytes === undefined) return undefined;
  const dataAt = FIXED_BYTES + addressBytes + PORT_BYTES;
  return bytes.length < dataAt ? undefined : bytes.subarray(dataAt);
}
