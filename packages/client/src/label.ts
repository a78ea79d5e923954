import type { Endpoint } from '@argyle/host';

/** `address:port`, an IPv6 address in brackets (RFC 3986 §3.2.2). */
export function endpointLabel({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
