import type { Endpoint } from '@argyle/host';
import { Allowance } from './allowance.ts';
import { TAKE_KEPT_MS } from './constants.ts';
import type { AssociationKeys } from './key-schedule.ts';
import { sameEndpoint } from './path.ts';
import { EPOCH_BYTES, NO_EPOCH, RANDOM_BYTES, type UdpRecord } from './record.ts';
import { encodeTake } from './take.ts';

/** Offers kept at once, and of one association: more clients behind more addresses than that. */
const KEPT_MAX = 65_536;
const KEPT_OF_ASSOCIATION_MAX = 8;
/** TAKEs a second: each costs a MAC, and anybody who recorded a record can ask. */
const PER_SECOND_OF_ASSOCIATION = 50;
const PER_SECOND = 5_000;

/** What a TAKE offered to an address. */
export interface Offer {
  readonly association: string;
  readonly epoch: string;
  readonly nodeRandom: Uint8Array;
  readonly to: Endpoint;
  readonly keys: AssociationKeys;
  readonly until: number;
}

/**
 * The offers of a node that nobody has taken up yet: few, short-lived, the same one for repeated
 * triggers from one address. An epoch comes to be only out of one of these, so nothing recorded
 * before the node drew it can bring an epoch back.
 */
export class Takes {
  readonly #random: (sizeBytes: number) => Uint8Array;
  readonly #allowance = new Allowance(PER_SECOND);
  readonly #associations = new Map<string, { readonly offers: Offer[]; allowance: Allowance }>();
  /** Oldest first. */
  readonly #offers = new Set<Offer>();

  constructor(random: (sizeBytes: number) => Uint8Array) {
    this.#random = random;
  }

  get size(): number {
    return this.#offers.size;
  }

  get deadline(): number {
    for (const { until } of this.#offers) return until;
    return Infinity;
  }

  /** A TAKE for that address; undefined when there were too many lately. */
  answer(
    trigger: UdpRecord,
    from: Endpoint,
    keys: AssociationKeys,
    now: number,
  ): Buffer | undefined {
    this.expire(now);
    const known = this.#associations.get(trigger.association);
    const { offers, allowance } = known ?? {
      offers: [],
      allowance: new Allowance(PER_SECOND_OF_ASSOCIATION),
    };
    if (!allowance.take(now) || !this.#allowance.take(now)) return undefined;
    let offer = offers.find(({ to }) => sameEndpoint(to, from));
    if (!offer) {
      const oldest = offers.length >= KEPT_OF_ASSOCIATION_MAX ? offers[0] : undefined;
      if (oldest) this.#forget(oldest);
      offer = this.#draw(trigger.association, from, keys, now);
      // Its making may have been what made the association unknown again.
      this.#associations.set(trigger.association, { offers, allowance });
      offers.push(offer);
      this.#offers.add(offer);
    }
    return encodeTake(trigger, offer, keys);
  }

  find(association: string, epoch: string): Offer | undefined {
    return this.#associations.get(association)?.offers.find((offer) => offer.epoch === epoch);
  }

  keysOf(association: string): AssociationKeys | undefined {
    return this.#associations.get(association)?.offers[0]?.keys;
  }

  /** The offer has become an epoch. */
  consume(offer: Offer): void {
    this.#forget(offer);
  }

  forget(association: string): void {
    for (const offer of this.#associations.get(association)?.offers ?? []) {
      this.#offers.delete(offer);
    }
    this.#associations.delete(association);
  }

  clear(): void {
    this.#associations.clear();
    this.#offers.clear();
  }

  expire(now: number): void {
    for (const offer of this.#offers) {
      if (offer.until > now) return;
      this.#forget(offer);
    }
  }

  #draw(association: string, to: Endpoint, keys: AssociationKeys, now: number): Offer {
    for (const oldest of this.#offers) {
      if (this.#offers.size < KEPT_MAX) break;
      this.#forget(oldest);
    }
    let epoch: string;
    do epoch = Buffer.from(this.#random(EPOCH_BYTES)).toString('hex');
    while (epoch === NO_EPOCH);
    const nodeRandom = Uint8Array.from(this.#random(RANDOM_BYTES));
    return { association, epoch, nodeRandom, to, keys, until: now + TAKE_KEPT_MS };
  }

  #forget(offer: Offer): void {
    this.#offers.delete(offer);
    const known = this.#associations.get(offer.association);
    if (!known) return;
    known.offers.splice(known.offers.indexOf(offer), 1);
    if (known.offers.length === 0) this.#associations.delete(offer.association);
  }
}
