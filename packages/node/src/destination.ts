import { lookup, type LookupAddress } from 'node:dns';
import { parseAddress, type Network } from '@argyle/host';
import { replyTo, type ReplyName } from './socks-reply.ts';

/** All addresses of a name, as `dns.lookup` gives them. */
export type Lookup = (
  name: string,
  options: { readonly all: true; readonly order: 'verbatim' },
  answer: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface FindOptions {
  /** `name`: as requested, in lower case and without a final dot; undefined for an address. */
  readonly allows: (name: string | undefined, address: Network) => boolean;
  readonly signal: AbortSignal;
  /** The system's, unless a test brings its own. */
  readonly lookup?: Lookup | undefined;
}

/** A name with more addresses means the first ones. */
const ADDRESSES_MAX = 16;
/** RFC 1035 §2.3.4, with the underscore that names of services have. */
const NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/**
 * The addresses that a request's destination means, as far as they are allowed, or the reply that
 * says why there is none. A name is resolved once and each address is judged, so no second answer
 * of a name server can lead elsewhere.
 */
export async function findAddresses(
  destination: string,
  { allows, signal, lookup: look = lookup }: FindOptions,
): Promise<readonly Network[] | ReplyName> {
  const literal = parseAddress(destination);
  if (literal) return allows(undefined, literal) ? [literal] : 'not-allowed';
  const name = destination.toLowerCase().replace(/\.$/, '');
  if (!NAME.test(name)) return 'host-unreachable';
  const found = await resolve(look, name, signal);
  if (typeof found === 'string') return signal.aborted ? 'host-unreachable' : replyTo(found);
  const allowed = found.filter((address) => allows(name, address));
  return allowed.length > 0 ? allowed.slice(0, ADDRESSES_MAX) : 'not-allowed';
}

/** The addresses, or the error's code. An abandoned look-up ends in the runtime's pool. */
function resolve(
  look: Lookup,
  name: string,
  signal: AbortSignal,
): Promise<readonly Network[] | string> {
  return new Promise((settle) => {
    const abandon = () => settle('ETIMEDOUT');
    if (signal.aborted) abandon();
    signal.addEventListener('abort', abandon, { once: true });
    look(name, { all: true, order: 'verbatim' }, (error, addresses) => {
      signal.removeEventListener('abort', abandon);
      if (error) settle(error.code ?? 'ENOTFOUND');
      else settle(addresses.flatMap(({ address }) => parseAddress(address) ?? []));
    });
  });
}
