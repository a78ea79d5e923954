import type { Endpoint } from '@argyle/host';
import { Allowance } from './allowance.ts';
import type { AssociationRecord } from './association-record.ts';
import { TAKE_KEPT_MS } from './constants.ts';
import { AssociationKeys } from './key-schedule.ts';
import { sameEndpoint } from './path.ts';
import { EPOCH_BYTES, NO_EPOCH, RANDOM_BYTES, type UdpRecord } from './record.ts';
import { encodeTake } from './take.ts';

/** Offers kept at once, and of one association: more clients behind more addresses than that. */
const KEPT_MAX = 65_536;
const KEPT_OF_ASSOCIATION_MAX = 8;
/** TAKEs a second: each costs a MAC, and anybody who recorded a record can ask. */
const PER_SECOND_OF_ASSOCIATION = 50;
const PER_SECOND = 5_000;
/** After which an allowance is whole again, and need not be remembered. */
const ALLOWANCE_KEPT_MS = 1_000;
/** Each forged opening record costs the keys of an epoch, and an honest client sends none. */
const FORGERIES_MAX = 4;

/** What a TAKE offered to an address. */
export interface Offer {
  readonly association: string;
  readonly epoch: string;
  readonly nodeRandom: Uint8Array;
  readonly to: Endpoint;
  readonly keys: AssociationKeys;
  readonly until: number;
  /** Opening records that did not open. */
  forgeries: number;
}

/** What a node knows of an association that asks. */
export interface Asked {
  /** In the node's cache. */
  readonly record: () => AssociationRecord | undefined;
  /** Of its epochs here. */
  readonly keys: AssociationKeys | undefined;
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
  /** Of associations whose offers were used up lately, in the order in which they were. */
  readonly #allowances = new Map<string, { readonly allowance: Allowance; until: number }>();
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

  /**
   * A TAKE for that address. `takes`: there were too many lately. What costs most comes last.
   */
  answer(
    trigger: UdpRecord,
    from: Endpoint,
    asked: Asked,
    now: number,
  ): Buffer | 'takes' | 'association' {
    this.expire(now);
    const { association } = trigger;
    const { offers, allowance } = this.#associations.get(association) ?? {
      offers: [],
      allowance:
        this.#allowances.get(association)?.allowance ?? new Allowance(PER_SECOND_OF_ASSOCIATION),
    };
    if (!allowance.take(now)) return 'takes';
    const record = asked.record();
    if (!record) return 'association';
    if (!this.#allowance.take(now)) return 'takes';
    let offer = offers.find(({ to }) => sameEndpoint(to, from));
    if (!offer) {
      const keys = asked.keys ?? offers[0]?.keys ?? this.#keys(association, record);
      const oldest = offers.length >= KEPT_OF_ASSOCIATION_MAX ? offers[0] : undefined;
      if (oldest) this.#forget(oldest, now);
      offer = this.#draw(association, from, keys, now);
      // Its making may have been what made the association unknown again.
      this.#associations.set(association, { offers, allowance });
      offers.push(offer);
      this.#offers.add(offer);
    }
    return encodeTake(trigger, offer, offer.keys);
  }

  find(association: string, epoch: string): Offer | undefined {
    return this.#associations.get(association)?.offers.find((offer) => offer.epoch === epoch);
  }

  /** The offer has become an epoch. */
  consume(offer: Offer, now: number): void {
    this.#forget(offer, now);
  }

  /** An opening record did not open: after a few the offer is drawn anew when it is asked for. */
  forged(offer: Offer, now: number): void {
    offer.forgeries += 1;
    if (offer.forgeries >= FORGERIES_MAX) this.#forget(offer, now);
  }

  forget(association: string): void {
    for (const offer of this.#associations.get(association)?.offers ?? []) {
      this.#offers.delete(offer);
    }
    this.#associations.delete(association);
    this.#allowances.delete(association);
  }

  clear(): void {
    this.#associations.clear();
    this.#allowances.clear();
    this.#offers.clear();
  }

  expire(now: number): void {
    for (const offer of this.#offers) {
      if (offer.until > now) break;
      this.#forget(offer, now);
    }
    for (const [association, { until }] of this.#allowances) {
      if (until > now) break;
      this.#allowances.delete(association);
    }
  }

  #keys(id: string, { secret, suite }: AssociationRecord): AssociationKeys {
    return new AssociationKeys({ id, secret, suite, random: this.#random });
  }

  #draw(association: string, to: Endpoint, keys: AssociationKeys, now: number): Offer {
    for (const oldest of this.#offers) {
      if (this.#offers.size < KEPT_MAX) break;
      this.#forget(oldest, now);
    }
    let epoch: string;
    do epoch = Buffer.from(this.#random(EPOCH_BYTES)).toString('hex');
    while (epoch === NO_EPOCH);
    const nodeRandom = Uint8Array.from(this.#random(RANDOM_BYTES));
    return { association, epoch, nodeRandom, to, keys, until: now + TAKE_KEPT_MS, forgeries: 0 };
  }

  #forget(offer: Offer, now: number): void {
    const { association } = offer;
    this.#offers.delete(offer);
    const known = this.#associations.get(association);
    if (!known) return;
    known.offers.splice(known.offers.indexOf(offer), 1);
    if (known.offers.length > 0) return;
    const { allowance } = known;
    this.#associations.delete(association);
    this.#allowances.delete(association);
    this.#allowances.set(association, { allowance, until: now + ALLOWANCE_KEPT_MS });
  }
}
