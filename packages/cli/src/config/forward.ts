import { isIP } from 'node:net';
import type { Forward } from '@argyle/client';
import type { Endpoint } from '@argyle/host';
import { parseEndpoint } from './address.ts';

export const FORWARD_WANTED =
  'udp or tcp, a port here and a target, such as udp:127.0.0.1:5300=dns.example:53';

/** Who gives no address means that nobody else is to use it. */
const LOCAL_DEFAULT = '127.0.0.1';

/** `udp:[address:]port=host:port`, or `tcp:…`; IPv6 addresses stand in brackets. */
export function parseForward(text: string): Forward | undefined {
  const match = /^(udp|tcp):([^=]+)=([^=]+)$/.exec(text);
  const listen = parseLocal(match?.[2] ?? '');
  const target = parseEndpoint(match?.[3] ?? '');
  if (!match || !listen || !target || target.port === 0) return undefined;
  const protocol = match[1] === 'udp' ? 'udp' : 'tcp';
  return { protocol, listen, target: { host: target.address, port: target.port } };
}

function parseLocal(text: string): Endpoint | undefined {
  const endpoint = parseEndpoint(/^\d+$/.test(text) ? `${LOCAL_DEFAULT}:${text}` : text);
  return endpoint && isIP(endpoint.address) !== 0 ? endpoint : undefined;
}
