import { lookup, Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Resolve } from './resolve.ts';

export interface SystemResolverOptions {
  readonly hostsFile?: string;
  /** Name servers, in place of the system's. */
  readonly servers?: readonly string[];
  /** What is asked last; getaddrinfo. */
  readonly lookup?: (name: string) => Promise<readonly string[]>;
}

/** The part of an answer that one family is; undefined when nobody gave it. */
type Part = readonly string[] | undefined;

/** Of one question to one name server. A signal may end the whole sooner. */
const QUESTION_MS = 1_500;
const QUESTIONS = 2;
/** The name server has answered, and there is nothing of this family. */
const NOTHING: ReadonlySet<string> = new Set(['ENODATA', 'ENOTFOUND']);
/** Where getaddrinfo may know better: search domains, mDNS, a machine without name servers. */
const UNHEARD_OF: ReadonlySet<string> = new Set([...NOTHING, 'ECONNREFUSED']);

/**
 * Names as the machine knows them: the hosts file, then DNS, then whatever else getaddrinfo asks.
 *
 * Not getaddrinfo alone: it cannot be cancelled, so that a silent name server keeps a process that
 * wants to end, and it runs on the runtime's pool, of which look-ups get two threads, so that two
 * silent names hold up all others. It comes last, when a name server has just said that it knows
 * nothing, and so is not silent. Not DNS alone: that knows no hosts file and no search domains.
 */
export class SystemResolver {
  readonly #options: SystemResolverOptions;
  /** What a name server said last, by name: one family's answer may get lost. */
  readonly #last = new Map<string, { readonly v4: Part; readonly v6: Part }>();

  constructor(options: SystemResolverOptions = {}) {
    this.#options = options;
  }

  readonly resolve: Resolve = async (name, signal) => {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort);
    try {
      return await Promise.race([this.#find(name, signal), aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  };

  async #find(name: string, signal: AbortSignal): Promise<readonly string[]> {
    const listed = await fromHosts(this.#options.hostsFile ?? '/etc/hosts', name);
    if (listed.length > 0) return listed;
    const { v4, v6, codes } = await this.#ask(name, signal);
    signal.throwIfAborted();
    if (v4?.length || v6?.length) return this.#complete(name, v4, v6);
    const [unanswered] = codes.filter((code) => !UNHEARD_OF.has(code));
    if (unanswered !== undefined) throw new Error(`no answer from a name server (${unanswered})`);
    try {
      return await (this.#options.lookup ?? lookUp)(name);
    } catch (error) {
      throw new Error(`nobody knows the name (${codeOf(error)})`, { cause: error });
    }
  }

  /** A family that nobody answered for is what it was. */
  #complete(name: string, v4: Part, v6: Part): readonly string[] {
    const last = this.#last.get(name);
    const now = { v4: v4 ?? last?.v4, v6: v6 ?? last?.v6 };
    this.#last.set(name, now);
    return [...(now.v4 ?? []), ...(now.v6 ?? [])];
  }

  /** With a socket of its own, and the name servers that the system has now. */
  async #ask(name: string, signal: AbortSignal) {
    const resolver = new Resolver({ timeout: QUESTION_MS, tries: QUESTIONS });
    const { servers } = this.#options;
    if (servers) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal.addEventListener('abort', cancel);
    const codes: string[] = [];
    const part = (answer: Promise<string[]>): Promise<Part> =>
      answer.catch((error: unknown) => {
        const code = codeOf(error);
        codes.push(code);
        return NOTHING.has(code) ? [] : undefined;
      });
    try {
      const families = [part(resolver.resolve4(name)), part(resolver.resolve6(name))];
      const [v4, v6] = await Promise.all(families);
      return { v4, v6, codes };
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }
}

/** hosts(5): an address, then its names; none when there is no such file. */
async function fromHosts(file: string, name: string): Promise<readonly string[]> {
  const wanted = name.toLowerCase();
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = (line.split('#')[0] ?? '').trim().toLowerCase().split(/\s+/);
    return isIP(address) !== 0 && names.includes(wanted) ? [address] : [];
  });
}

async function lookUp(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return 'no code';
}
