/**
 * A datagram of SOCKS5 (RFC 1928 §7), in clear or as the payload of a record:
 *
 * ```
 * +-----+------+------+----------+----------+----------
 * | RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA
 * +-----+------+------+----------+----------+----------
 * |  2  |  1   |  1   | variable |    2     | variable
 * +-----+------+------+----------+----------+----------
 * ```
 */
import { formatAddress, parseAddress } from '@argyle/host';

export interface SocksDatagram {
  /** 0: whole. Else the place in a sequence of fragments, from 1, and whether it is the last. */
  readonly fragment: number;
  readonly last: boolean;
  /** An address or a name, as it was sent. From a node: the sender's address. */
  readonly host: string;
  readonly port: number;
  /** A view. */
  readonly data: Buffer;
}

/** `reserved`: RSV is not zero. */
export type SocksDatagramFault = 'truncated' | 'reserved' | 'address-type';

/** RSV and FRAG. */
const FIXED_BYTES = 3;
const PORT_BYTES = 2;
const LAST_FRAGMENT = 0x80;
const AddressType = { ipv4: 1, name: 3, ipv6: 4 } as const;
const NAME_BYTES_MAX = 255;

/**
 * Of the header alone: DATA follows. For whoever only passes a datagram on, and need not read its
 * destination each time.
 */
export function socksHeaderBytes(bytes: Uint8Array): number | SocksDatagramFault {
  if (bytes.length < FIXED_BYTES + 2) return 'truncated';
  if (bytes[0] !== 0 || bytes[1] !== 0) return 'reserved';
  const type = bytes[FIXED_BYTES];
  let sizeBytes = FIXED_BYTES + PORT_BYTES;
  if (type === AddressType.ipv4) sizeBytes += 5;
  else if (type === AddressType.ipv6) sizeBytes += 17;
  else if (type === AddressType.name) sizeBytes += 2 + (bytes[FIXED_BYTES + 1] ?? 0);
  else return 'address-type';
  return bytes.length < sizeBytes ? 'truncated' : sizeBytes;
}

/** A whole one, or a fragment. */
export function decodeSocksDatagram(bytes: Buffer): SocksDatagram | SocksDatagramFault {
  if (bytes.length < FIXED_BYTES + 2) return 'truncated';
  if (bytes.readUInt16BE() !== 0) return 'reserved';
  const destination = decodeHost(bytes.subarray(FIXED_BYTES));
  if (typeof destination === 'string') return destination;
  const portAt = FIXED_BYTES + destination.sizeBytes;
  if (bytes.length < portAt + PORT_BYTES) return 'truncated';
  const fragment = bytes.readUInt8(2);
  return {
    fragment: fragment & ~LAST_FRAGMENT,
    last: (fragment & LAST_FRAGMENT) !== 0,
    host: destination.host,
    port: bytes.readUInt16BE(portAt),
    data: bytes.subarray(portAt + PORT_BYTES),
  };
}

/** A whole one, copied. `host`: an address, or a name of at most 255 bytes. */
export function encodeSocksDatagram(host: string, port: number, data: Uint8Array): Buffer {
  const destination = encodeHost(host);
  const portAt = FIXED_BYTES + destination.length;
  const bytes = Buffer.allocUnsafe(portAt + PORT_BYTES + data.length);
  bytes.fill(0, 0, FIXED_BYTES);
  bytes.set(destination, FIXED_BYTES);
  bytes.writeUInt16BE(port, portAt);
  bytes.set(data, portAt + PORT_BYTES);
  return bytes;
}

/** ATYP and DST.ADDR. */
export function encodeHost(host: string): Buffer {
  const address = parseAddress(host)?.bytes;
  if (address) {
    const type = address.length === 4 ? AddressType.ipv4 : AddressType.ipv6;
    return Buffer.concat([Buffer.of(type), address]);
  }
  const name = Buffer.from(host);
  if (name.length > NAME_BYTES_MAX) throw new RangeError(`a name of ${name.length} bytes`);
  return Buffer.concat([Buffer.of(AddressType.name, name.length), name]);
}

/** From ATYP on; at least two bytes. */
function decodeHost(
  bytes: Buffer,
): { readonly host: string; readonly sizeBytes: number } | 'truncated' | 'address-type' {
  const type = bytes.readUInt8();
  if (type === AddressType.name) {
    const sizeBytes = 2 + bytes.readUInt8(1);
    if (bytes.length < sizeBytes) return 'truncated';
    return { host: bytes.toString('utf8', 2, sizeBytes), sizeBytes };
  }
  if (type !== AddressType.ipv4 && type !== AddressType.ipv6) return 'address-type';
  const sizeBytes = type === AddressType.ipv4 ? 5 : 17;
  if (bytes.length < sizeBytes) return 'truncated';
  const address = bytes.subarray(1, sizeBytes);
  return { host: formatAddress({ bytes: address, prefixBits: address.length * 8 }), sizeBytes };
}
