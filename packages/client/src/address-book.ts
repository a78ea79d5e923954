import assert from 'node:assert/strict';
import { isIP, SocketAddress } from 'node:net';
import type { Endpoint } from '@argyle/host';
import { endpointLabel } from './label.ts';

export interface AddressBookOptions {
  /** As configured: hosts are addresses or names. */
  readonly nodes: readonly Endpoint[];
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Where a node may be. */
export interface NodeAddress {
  /** The same for whatever means the same. */
  readonly key: string;
  /** Its host is an address. */
  readonly endpoint: Endpoint;
  /** What was configured, and the address if that was a name: `node:11080 (192.0.2.1)`. */
  readonly label: string;
}

export interface NameStatus {
  readonly name: string;
  readonly addresses: readonly string[];
  /** Since the last answer; undefined before one. */
  readonly ageMs: number | undefined;
  /** Of the last look-up, if it failed. */
  readonly failure: string | undefined;
}

/**
 * Addresses leave and come with deployments, which take longer; the time to live of the answers
 * says nothing (Docker's says ten minutes). Longer, and a new node idles; shorter, and name servers
 * work.
 */
const LOOK_UP_MS = 30_000;
const LOOK_UP_JITTER = 0.2;
/**
 * Between the beginnings of two look-ups of a name, however much fails; doubled up to the regular
 * time while it is the look-ups that fail.
 */
const LOOK_UP_LEAST_MS = 1_000;
/** Each is measured now and then: more of them, and a client is a burden. */
const ADDRESSES_MAX = 32;

interface Name {
  readonly name: string;
  addresses: readonly string[];
  answeredAt: number;
  failure: string | undefined;
  /** In a row. */
  failures: number;
  begunAt: number;
  /** Infinity while it is looked up. */
  dueAt: number;
}

/**
 * The addresses of the nodes, without I/O: told what names were answered, it says which addresses
 * are meant, each once, and which names to look up when. A look-up that fails changes no address.
 * The caller reports the outcome of every look-up that `due` names, by `answered` or `failed`.
 */
export class AddressBook {
  readonly #options: AddressBookOptions;
  readonly #names = new Map<string, Name>();
  #addresses: readonly NodeAddress[] = [];

  constructor(options: AddressBookOptions, now: number) {
    this.#options = options;
    for (const { address: name } of options.nodes) {
      if (isIP(name) !== 0) continue;
      const unheard = {
        answeredAt: -Infinity,
        begunAt: -Infinity,
        failure: undefined,
        failures: 0,
      };
      this.#names.set(name, { name, addresses: [], ...unheard, dueAt: now });
    }
    this.#compile();
  }

  get addresses(): readonly NodeAddress[] {
    return this.#addresses;
  }

  get deadline(): number {
    return Math.min(Infinity, ...[...this.#names.values()].map(({ dueAt }) => dueAt));
  }

  /** Whether an answer is about to come. */
  get lookingUp(): boolean {
    return [...this.#names.values()].some(({ dueAt }) => dueAt === Infinity);
  }

  /** The names whose look-up is due; they are looked up now. */
  due(now: number): readonly string[] {
    const due = [...this.#names.values()].filter(({ dueAt }) => dueAt <= now);
    for (const name of due) {
      name.begunAt = now;
      name.dueAt = Infinity;
    }
    return due.map(({ name }) => name);
  }

  answered(name: string, addresses: readonly string[], now: number): void {
    const known = this.#at(name);
    known.addresses = chosen(addresses, known.addresses);
    known.answeredAt = now;
    known.failure = undefined;
    known.failures = 0;
    const swing = 2 * this.#options.random() - 1;
    known.dueAt = known.begunAt + LOOK_UP_MS * (1 + LOOK_UP_JITTER * swing);
    this.#compile();
  }

  failed(name: string, why: string): void {
    const known = this.#at(name);
    known.dueAt = known.begunAt + Math.min(LOOK_UP_LEAST_MS * 2 ** known.failures, LOOK_UP_MS);
    known.failure = why;
    known.failures += 1;
  }

  /** Something is wrong at an address: where a name led there, it may lead elsewhere by now. */
  doubt(key: string): void {
    for (const { address: host, port } of this.#options.nodes) {
      const name = this.#names.get(host);
      if (!name || name.dueAt === Infinity) continue;
      const leads = name.addresses.some((address) => endpointLabel({ address, port }) === key);
      if (leads) name.dueAt = Math.min(name.dueAt, name.begunAt + LOOK_UP_LEAST_MS);
    }
  }

  /** Whether the last look-up of a name failed. */
  isLost(name: string): boolean {
    return this.#at(name).failure !== undefined;
  }

  status(now: number): readonly NameStatus[] {
    return [...this.#names.values()].map(({ name, addresses, answeredAt, failure }) => ({
      name,
      addresses,
      ageMs: answeredAt === -Infinity ? undefined : now - answeredAt,
      failure,
    }));
  }

  #at(name: string): Name {
    const known = this.#names.get(name);
    assert(known);
    return known;
  }

  /** An address that was configured as such is called so, though a name means it too. */
  #compile(): void {
    const found = new Map<string, NodeAddress>();
    const add = (said: Endpoint, address: string, label: string) => {
      const endpoint = { address, port: said.port };
      const key = endpointLabel(endpoint);
      if (!found.has(key)) found.set(key, { key, endpoint, label });
    };
    const isLiteral = ({ address }: Endpoint) => isIP(address) !== 0;
    for (const said of this.#options.nodes.filter(isLiteral)) {
      add(said, canonical(said.address), endpointLabel(said));
    }
    for (const said of this.#options.nodes) {
      for (const address of this.#names.get(said.address)?.addresses ?? []) {
        add(said, address, `${endpointLabel(said)} (${address})`);
      }
    }
    this.#addresses = [...found.values()];
  }
}

/** In one spelling, each once; when there are too many, those that are known stay. */
function chosen(addresses: readonly string[], known: readonly string[]): readonly string[] {
  const all = [...new Set(addresses.filter((each) => isIP(each) !== 0).map(canonical))];
  const ordered = [
    ...known.filter((each) => all.includes(each)),
    ...all.filter((each) => !known.includes(each)),
  ];
  return ordered.slice(0, ADDRESSES_MAX);
}

/** RFC 5952; an IPv4-mapped address (RFC 4291 §2.5.5.2) is the IPv4 address. */
function canonical(address: string): string {
  if (isIP(address) !== 6 || address.includes('%')) return address;
  const written = new SocketAddress({ address, family: 'ipv6' }).address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(written);
  return mapped?.[1] ?? written;
}
