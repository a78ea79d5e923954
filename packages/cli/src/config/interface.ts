import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';

/** IPv4 without options, and UDP. */
const HEADER_BYTES = 28;
/** What leaves room for the headers of most tunnels on the way. */
const NETWORK_BYTES = 1_400;
/** Where datagrams never leave the machine. */
const LOOPBACK_BYTES = 60 * 1_024;

/**
 * The IPv4 address of an interface, told by its address, its name, or `auto`: the first that is up
 * and not loopback.
 */
export function interfaceAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const interfaces = networkInterfaces();
  const candidates = text === 'auto' ? Object.values(interfaces).flat() : interfaces[text];
  return candidates?.find((one) => one?.family === 'IPv4' && (text !== 'auto' || !one.internal))
    ?.address;
}

/** What a segment has where nobody said it: 60 KiB on loopback, else 1400 B or what is carried. */
export function segmentBytes(address: string): number {
  const most = interfaceWith(address)?.internal ? LOOPBACK_BYTES : NETWORK_BYTES;
  return Math.min(most, carriedBytes(address) ?? most);
}

/**
 * Payload of the largest datagram that leaves the interface in one piece. Undefined when no
 * interface has that address, or the system does not tell its MTU (Linux does).
 */
export function carriedBytes(address: string): number | undefined {
  const name = interfaceWith(address)?.name.replace(/:.*/, '');
  if (name === undefined) return undefined;
  try {
    return Number(readFileSync(`/sys/class/net/${name}/mtu`, 'ascii')) - HEADER_BYTES;
  } catch {
    return undefined;
  }
}

function interfaceWith(address: string): { name: string; internal: boolean } | undefined {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    const one = addresses.find((each) => each.address === address);
    if (one) return { name, internal: one.internal };
  }
  return undefined;
}
