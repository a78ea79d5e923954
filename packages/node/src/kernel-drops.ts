import { readFileSync } from 'node:fs';
import { parseAddress, type Endpoint } from '@argyle/host';

const TABLES = { ipv4: '/proc/net/udp', ipv6: '/proc/net/udp6' } as const;

/**
 * Datagrams that the system threw away because a socket's buffer was full, by proc_net_udp(5).
 * Undefined where the system does not tell.
 */
export function kernelDrops(endpoint: Endpoint): number | undefined {
  try {
    const table = endpoint.address.includes(':') ? TABLES.ipv6 : TABLES.ipv4;
    return readDrops(readFileSync(table, 'latin1'), endpoint);
  } catch {
    return undefined;
  }
}

/** Of the table's text: the second column is the local endpoint, the last one the drops. */
export function readDrops(table: string, endpoint: Endpoint): number | undefined {
  // The colon is the first column's: the third one has the endpoint too, of whoever is connected.
  const wanted = `: ${localColumn(endpoint)} `;
  const at = table.indexOf(wanted);
  if (at < 0) return undefined;
  const end = table.indexOf('\n', at);
  const line = table.slice(at, end < 0 ? undefined : end);
  const drops = Number(line.trimEnd().split(' ').at(-1));
  return Number.isSafeInteger(drops) ? drops : undefined;
}

/** The address in words of 32 bits, each as this machine's bytes lie, and the port. */
function localColumn({ address, port }: Endpoint): string {
  const bytes = Buffer.from(parseAddress(address)?.bytes ?? []);
  if (LITTLE_ENDIAN) bytes.swap32();
  return `${bytes.toString('hex')}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
