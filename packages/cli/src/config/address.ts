import { isIP, isIPv4 } from 'node:net';
import type { Endpoint } from '@argyle/host';

const PORT_MAX = 65_535;
/** RFC 1123 §2.1. */
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*$/;

/** `192.0.2.1:1080`, `[2001:db8::1]:1080`, `name:1080`. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const range = parseEndpoints(text);
  return range?.length === 1 ? range[0] : undefined;
}

/** As `parseEndpoint`, and `192.0.2.1:1080-1089` for several. */
export function parseEndpoints(text: string): readonly Endpoint[] | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const address = match[1] ?? match[2] ?? '';
  if (match[1] !== undefined ? isIP(address) !== 6 : !isHost(address)) return undefined;
  const from = Number(match[3]);
  const to = Number(match[4] ?? from);
  if (from > PORT_MAX || to > PORT_MAX || to < from) return undefined;
  return Array.from({ length: to - from + 1 }, (_, index) => ({ address, port: from + index }));
}

export function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** RFC 5771: 224.0.0.0/4. */
export function isMulticast(address: string): boolean {
  const first = Number(address.split('.')[0]);
  return isIPv4(address) && first >= 224 && first <= 239;
}

/** A host name or `*.suffix`. */
export function isNamePattern(text: string): boolean {
  return HOST_NAME.test(text.startsWith('*.') ? text.slice(2) : text);
}

function isHost(text: string): boolean {
  if (isIPv4(text)) return true;
  return HOST_NAME.test(text) && !/^[\d.]+$/.test(text);
}
