import type { AssociationRecord } from './association-record.ts';

/** A claim costs the cluster a write. */
const CLAIM_SPACING_MS = 1_000;
/** After a claim that crossed a renewal the next waits longer, or they might keep step. */
const OVERWRITTEN_MS = 100;
const OVERWRITTEN_STEPS = 8;
/** Who sees another's claim serves on until no payload has come for so long. */
const LET_GO_MS = 1_000;
/** A record's life is renewed so often in a grace time. */
const RENEWALS_A_GRACE = 4;

/**
 * Who serves an association: the node where its newest payload opened. The owner in the record is
 * bookkeeping: nothing waits for it, and nothing breaks when it is late or wrong.
 */
export class Ownership {
  readonly #name: string;
  /** As of the newest claim that is known. */
  #owner: string;
  #claims: number;
  #graceMs: number;
  /** The record has gone back behind this node's claim: who renewed it did not know of that. */
  #overwritten = false;
  /** How often that was so. */
  #overwrites = 0;
  #serving = false;
  #payloadAt = -Infinity;
  #claimedAt = -Infinity;
  /** Since when the record has named another while this node served. */
  #foreignSince = Infinity;
  #validAt = -Infinity;
  #renewedAt = -Infinity;

  constructor(name: string, { owner, claims, graceMs }: AssociationRecord) {
    this.#name = name;
    this.#owner = owner;
    this.#claims = claims;
    this.#graceMs = graceMs;
  }

  get serving(): boolean {
    return this.#serving;
  }

  get deadline(): number {
    return Math.min(this.#claimAt, this.#letGoAt, this.#renewAt);
  }

  /** Own claims come back this way too. */
  handleChanged({ owner, claims, graceMs }: AssociationRecord, now: number): void {
    this.#graceMs = graceMs;
    if (claims < this.#claims) {
      this.#overwritten = this.#owner === this.#name;
      return;
    }
    this.#overwritten = false;
    this.#claims = claims;
    this.#owner = owner;
    if (owner === this.#name) this.#foreignSince = Infinity;
    else if (this.#serving) this.#foreignSince = Math.min(this.#foreignSince, now);
  }

  /** A valid record came. */
  heard(now: number): void {
    this.#validAt = now;
  }

  /** It had a payload, which makes this node the owner. */
  servedPayload(now: number): void {
    this.#serving = true;
    this.#payloadAt = now;
  }

  /** True if the record should name this node from now on. */
  takeClaim(now: number): boolean {
    if (now < this.#claimAt) return false;
    this.#claimedAt = now;
    this.#renewedAt = now;
    if (this.#overwritten) this.#overwrites += 1;
    this.#overwritten = false;
    return true;
  }

  /** True if the record should be written again for its life. */
  takeRenewal(now: number): boolean {
    if (now < this.#renewAt) return false;
    this.#renewedAt = now;
    return true;
  }

  letsGo(now: number): boolean {
    return now >= this.#letGoAt;
  }

  /** False if there was nothing to let go. */
  letGo(): boolean {
    const served = this.#serving;
    this.#serving = false;
    this.#foreignSince = Infinity;
    return served;
  }

  /**
   * The record names another, and a payload came after that was seen and after the last claim; or
   * this node's claim was overwritten.
   */
  get #claimAt(): number {
    if (!this.#serving) return Infinity;
    if (this.#overwritten) {
      const waitMs = (this.#overwrites % OVERWRITTEN_STEPS) * OVERWRITTEN_MS;
      return this.#claimedAt + CLAIM_SPACING_MS + waitMs;
    }
    if (this.#owner === this.#name) return Infinity;
    const since = Math.max(this.#claimedAt, this.#foreign ? this.#foreignSince : -Infinity);
    return this.#payloadAt > since ? this.#claimedAt + CLAIM_SPACING_MS : Infinity;
  }

  get #foreign(): boolean {
    return this.#foreignSince !== Infinity;
  }

  get #letGoAt(): number {
    return Math.max(this.#foreignSince, this.#payloadAt) + LET_GO_MS;
  }

  get #renewAt(): number {
    if (!this.#serving || this.#validAt <= this.#renewedAt) return Infinity;
    return this.#renewedAt + this.#graceMs / RENEWALS_A_GRACE;
  }
}
