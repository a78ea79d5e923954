/**
 * A page that a browser trusts can have its own name answered with 127.0.0.1, and then read what
 * listens there (DNS rebinding). Such a request still carries the page's name in Host. An address
 * or `localhost` cannot be rebound, so on loopback nothing else is let in.
 */
import { isIP, isIPv4 } from 'node:net';

export function isLoopback(address: string): boolean {
  if (address === 'localhost' || address === '::1') return true;
  return isIPv4(address) && address.startsWith('127.');
}

/**
 * Whether a Host header (RFC 9112 §3.2) names an address or `localhost`, with a port or without.
 */
export function namesAddress(host: string | undefined): boolean {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(host ?? '');
  const bracketed = match?.[1];
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  const name = match?.[2]?.toLowerCase();
  return name !== undefined && (name === 'localhost' || isIPv4(name));
}
