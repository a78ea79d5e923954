import { parseAddress } from '@argyle/host';

/** RFC 1928 §6. */
export const Reply = {
  succeeded: 0x00,
  failed: 0x01,
  'not-allowed': 0x02,
  'network-unreachable': 0x03,
  'host-unreachable': 0x04,
  refused: 0x05,
  'ttl-expired': 0x06,
  'command-not-supported': 0x07,
  'address-type-not-supported': 0x08,
} as const;
export type ReplyName = keyof typeof Reply;

/** What a client is told when its destination could not be reached. Everything else is `failed`. */
const REPLY_BY_ERROR: ReadonlyMap<string, ReplyName> = new Map([
  ['ECONNREFUSED', 'refused'],
  ['ECONNRESET', 'refused'],
  ['ENETUNREACH', 'network-unreachable'],
  ['ENETDOWN', 'network-unreachable'],
  ['EADDRNOTAVAIL', 'network-unreachable'],
  ['EAFNOSUPPORT', 'network-unreachable'],
  ['EHOSTUNREACH', 'host-unreachable'],
  ['EHOSTDOWN', 'host-unreachable'],
  ['ETIMEDOUT', 'host-unreachable'],
  ['ENOTFOUND', 'host-unreachable'],
  ['EAI_AGAIN', 'host-unreachable'],
  ['EAI_NODATA', 'host-unreachable'],
  ['EAI_NONAME', 'host-unreachable'],
  ['EACCES', 'not-allowed'],
  ['EPERM', 'not-allowed'],
]);

export function replyTo(code: string | undefined): ReplyName {
  return REPLY_BY_ERROR.get(code ?? '') ?? 'failed';
}

const VERSION = 5;
const ADDRESS_IPV4 = 1;
const ADDRESS_IPV6 = 4;

/**
 * ```
 * +----+-----+-------+------+----------+----------+
 * |VER | REP |  RSV  | ATYP | BND.ADDR | BND.PORT |
 * +----+-----+-------+------+----------+----------+
 * | 1  |  1  | X'00' |  1   |  4 or 16 |    2     |
 * +----+-----+-------+------+----------+----------+
 * ```
 * `bound`: the address that the destination sees; zeros where there is none.
 */
export function encodeReply(
  reply: ReplyName,
  bound: { readonly address: string; readonly port: number } = { address: '0.0.0.0', port: 0 },
): Uint8Array {
  const address = parseAddress(bound.address)?.bytes ?? new Uint8Array(4);
  const bytes = Buffer.alloc(4 + address.length + 2);
  bytes.set([VERSION, Reply[reply], 0, address.length === 4 ? ADDRESS_IPV4 : ADDRESS_IPV6]);
  bytes.set(address, 4);
  bytes.writeUInt16BE(bound.port, 4 + address.length);
  return bytes;
}
