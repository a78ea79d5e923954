/**
 * The kinds of value that a configuration has. Each says in words what it wants; a refused value
 * becomes a problem with those words, so nobody reads a validator's own messages.
 */
import { isIP } from 'node:net';
import * as z from 'zod';
import type { Endpoint } from '@argyle/host';
import { parseNetwork } from '@argyle/host';
import { isMulticast, isNamePattern, parseEndpoint, parseEndpoints } from './address.ts';
import { FORWARD_WANTED, parseForward } from './forward.ts';
import { parseDuration, parseSize } from './units.ts';

/** A value that `parse` turns into what the program uses, or refuses by answering undefined. */
export function value<Result>(wanted: string, parse: (found: unknown) => Result | undefined) {
  return z.unknown().transform((found, context) => {
    const result = parse(found);
    if (result !== undefined) return result;
    context.addIssue({ code: 'custom', message: wanted, input: found });
    return z.NEVER;
  });
}

function string<Result>(wanted: string, parse: (found: string) => Result | undefined) {
  return value(wanted, (found) => (typeof found === 'string' ? parse(found) : undefined));
}

export function text(wanted: string, pattern: RegExp) {
  return string(wanted, (found) => (pattern.test(found) ? found : undefined));
}

/** No spaces and no control characters: names stand in logs and in lists. */
export const USER_NAME = /^[^\s\p{C}]+$/u;
/** RFC 1929 §2: a name or a password is 1 to 255 bytes. */
const CREDENTIAL_BYTES_MAX = 255;

export function credential(what: string, pattern = /^/) {
  return string(`${what} of 1 to ${CREDENTIAL_BYTES_MAX} bytes`, (found) => {
    const bytes = Buffer.byteLength(found);
    const fits = bytes >= 1 && bytes <= CREDENTIAL_BYTES_MAX;
    return fits && pattern.test(found) ? found : undefined;
  });
}

/** Bounds are durations too, so that the words and the check cannot differ. */
export function duration(least: string, most: string) {
  const [min = 0, max = 0] = [parseDuration(least), parseDuration(most)];
  return string(`a duration from ${least} to ${most}, such as 250ms, 10s or 1h`, (found) => {
    const ms = parseDuration(found);
    return ms !== undefined && ms >= min && ms <= max ? ms : undefined;
  });
}

export function size(least: string, most: string) {
  const parse = sizeBetween(least, most);
  return string(`a size from ${least} to ${most}, such as 1400B, 16KiB or 64MiB`, parse);
}

/** What `auto` stands for is known where the value is used. */
export function sizeOrAuto(least: string, most: string) {
  const parse = sizeBetween(least, most);
  return string(`auto, or a size from ${least} to ${most}, such as 1400B`, (found) =>
    found === 'auto' ? found : parse(found),
  );
}

function sizeBetween(least: string, most: string): (found: string) => number | undefined {
  const [min = 0, max = 0] = [parseSize(least), parseSize(most)];
  return (found) => {
    const bytes = parseSize(found);
    return bytes !== undefined && bytes >= min && bytes <= max ? bytes : undefined;
  };
}

export function count(least: number, most: number) {
  return value(`a whole number from ${least} to ${most}`, (found) =>
    typeof found === 'number' && Number.isInteger(found) && found >= least && found <= most
      ? found
      : undefined,
  );
}

export function choice<const Choice extends string>(...choices: readonly Choice[]) {
  return value(`one of ${choices.join(', ')}`, (found) => choices.find((one) => one === found));
}

export function yesNo() {
  return value('true or false', (found) => (typeof found === 'boolean' ? found : undefined));
}

/** Relative to the configuration file's folder. Whether it is there is checked when it is read. */
export function file(what: string) {
  return string(`the path of ${what}`, (found) => (found === '' ? undefined : found));
}

export function listenEndpoint() {
  return string('an address of this machine and a port, such as 127.0.0.1:1080', (found) => {
    const endpoint = parseEndpoint(found);
    return endpoint && isIP(endpoint.address) !== 0 ? endpoint : undefined;
  });
}

export function remoteEndpoint() {
  return string('a name or an address, and a port, such as proxy.example:1080', (found) => {
    const endpoint = parseEndpoint(found);
    return endpoint && endpoint.port !== 0 ? endpoint : undefined;
  });
}

export function forward() {
  return string(FORWARD_WANTED, parseForward);
}

const MEMBER_WANTED =
  'an IPv4 address or a name, and a port, such as 192.0.2.7:13081 or argyle.internal:13081';

export function memberEndpoint() {
  return string(MEMBER_WANTED, (found) => {
    const endpoint = parseEndpoint(found);
    return endpoint && isIP(endpoint.address) !== 6 && endpoint.port !== 0 ? endpoint : undefined;
  });
}

export function groupEndpoint() {
  return string('an IPv4 multicast address and a port, such as 239.192.0.1:13080', (found) => {
    const endpoint = parseEndpoint(found);
    return endpoint && isMulticast(endpoint.address) && endpoint.port !== 0 ? endpoint : undefined;
  });
}

export function ownAddress() {
  return string('an address that peers can reach, such as 192.0.2.1', (found) =>
    isIP(found) !== 0 && !UNREACHABLE.has(found) && !found.includes('%') ? found : undefined,
  );
}

/** Whoever is told one of these connects to himself. */
const UNREACHABLE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

export function oneOfEachFamily(addresses: readonly string[]): boolean {
  return new Set(addresses.map(isIP)).size === addresses.length;
}

/** One address with a port or a range of ports. */
export function endpoints() {
  return string('an address and a port or a range, such as 127.0.0.1:12080-12143', (found) => {
    const several = parseEndpoints(found);
    return several?.every((one: Endpoint) => isIP(one.address) !== 0) ? several : undefined;
  });
}

export function network() {
  return string('a network such as 198.18.0.0/15 or fd00::/8', (found) =>
    parseNetwork(found) ? found : undefined,
  );
}

export function namePattern() {
  return string('a host name such as www.example.com, or *.example.com', (found) =>
    isNamePattern(found) ? found.toLowerCase() : undefined,
  );
}

export function portRange() {
  return value('a port such as 443 or a range such as 8000-8999', (found) => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(found));
    if (!match) return undefined;
    const from = Number(match[1]);
    const to = Number(match[2] ?? from);
    return from >= 1 && to >= from && to <= 65_535 ? { from, to } : undefined;
  });
}

/** A list, empty when absent. */
export function list<Item extends z.ZodType>(item: Item) {
  return z.array(item).prefault([]);
}
