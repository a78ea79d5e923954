import { isIPv4, isIPv6 } from 'node:net';

/** A block of addresses, and an address as a block of one. IPv4-mapped IPv6 is IPv4 here. */
export interface Network {
  /** 4 or 16 bytes; those beyond the prefix are zero. */
  readonly bytes: Uint8Array;
  readonly prefixBits: number;
}

/** Undefined for what is no address; zones (`%eth0`) are refused. */
export function parseAddress(text: string): Network | undefined {
  if (isIPv4(text)) return { bytes: ipv4Bytes(text), prefixBits: 32 };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return unmapped({ bytes: ipv6Bytes(text), prefixBits: 128 });
}

/** `10.0.0.0/8`, `2001:db8::/32`, or an address. Undefined when malformed or with host bits set. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  if (rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) return undefined;
  if (isIPv6(address) && !address.includes('%')) {
    return masked(ipv6Bytes(address), prefix === undefined ? 128 : Number(prefix));
  }
  if (!isIPv4(address)) return undefined;
  return masked(ipv4Bytes(address), prefix === undefined ? 32 : Number(prefix));
}

/** The text that a socket is given: mapped addresses are IPv4 in it too. */
export function formatAddress(address: Network): string {
  const { bytes } = address;
  if (bytes.length === 4) return bytes.join('.');
  const groups = [];
  for (let at = 0; at < 16; at += 2) {
    groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  }
  return groups.join(':');
}

/** Whether all of `inner` lies within `outer`. */
export function contains(outer: Network, inner: Network): boolean {
  if (outer.bytes.length !== inner.bytes.length || outer.prefixBits > inner.prefixBits)
    return false;
  for (let bit = 0, at = 0; bit < outer.prefixBits; bit += 8, at += 1) {
    const mask = 0xff << Math.max(0, 8 - (outer.prefixBits - bit));
    if ((((outer.bytes[at] ?? 0) ^ (inner.bytes[at] ?? 0)) & mask & 0xff) !== 0) return false;
  }
  return true;
}

/** RFC 4291 §2.5.5.2: ::ffff:0:0/96. */
const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

function unmapped(network: Network): Network {
  const mapped =
    network.prefixBits >= 96 && MAPPED_PREFIX.every((byte, at) => network.bytes[at] === byte);
  if (!mapped) return network;
  return { bytes: network.bytes.slice(12), prefixBits: network.prefixBits - 96 };
}

function masked(bytes: Uint8Array, prefixBits: number): Network | undefined {
  if (prefixBits > bytes.length * 8) return undefined;
  const zero = bytes.every((byte, at) => {
    const hostBits = Math.min(8, Math.max(0, (at + 1) * 8 - prefixBits));
    return (byte & (2 ** hostBits - 1)) === 0;
  });
  return zero ? unmapped({ bytes, prefixBits }) : undefined;
}

function ipv4Bytes(text: string): Uint8Array {
  return Uint8Array.from(text.split('.'), Number);
}

/** The text is a valid address. */
function ipv6Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const [head = '', tail] = text.split('::');
  const before = groupBytes(head);
  bytes.set(before, 0);
  if (tail === undefined) return bytes;
  const after = groupBytes(tail);
  bytes.set(after, 16 - after.length);
  return bytes;
}

function groupBytes(text: string): readonly number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return [...ipv4Bytes(group)];
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
