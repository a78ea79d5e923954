import { timingSafeEqual } from 'node:crypto';
import type { Endpoint } from '@argyle/host';

/** To ask again too soon is a waste; too late, and a client that moved waits. */
const PROBE_SPACING_MS = 100;

/**
 * Where the client of an epoch is (RFC 9000 §8 and §9 have the reasons). Records go to an address
 * that is proven: a TAKE that went there was used, or a PROBE that went there answered. To another
 * one no more bytes are sent than valid records brought from it.
 */
export class Path {
  #proven: Endpoint | undefined;
  #unproven:
    | {
        readonly endpoint: Endpoint;
        creditBytes: number;
        token: Buffer | undefined;
        probedAt: number;
      }
    | undefined;

  constructor(opened: { readonly from: Endpoint; readonly takeWentTo: Endpoint }) {
    if (sameEndpoint(opened.from, opened.takeWentTo)) this.#proven = opened.from;
  }

  /** Where records go: an unproven address only while there is no proven one. */
  get to(): Endpoint | undefined {
    return this.#proven ?? this.#unproven?.endpoint;
  }

  get proven(): boolean {
    return this.#proven !== undefined;
  }

  /** A valid record of so many bytes came from there; `newest`: with the highest sequence yet. */
  heard(from: Endpoint, sizeBytes: number, newest: boolean): void {
    const unproven = this.#unproven;
    if (unproven && sameEndpoint(unproven.endpoint, from)) unproven.creditBytes += sizeBytes;
    else if (!newest) return;
    else if (this.#proven && sameEndpoint(this.#proven, from)) this.#unproven = undefined;
    else {
      this.#unproven = {
        endpoint: from,
        creditBytes: sizeBytes,
        token: undefined,
        probedAt: -Infinity,
      };
    }
  }

  /** The address that a PROBE should go to now. */
  probeDue(now: number): Endpoint | undefined {
    const unproven = this.#unproven;
    if (!unproven || now < unproven.probedAt + PROBE_SPACING_MS) return undefined;
    return unproven.endpoint;
  }

  /** A PROBE went to the unproven address; all that go there have the same token. */
  probed(draw: () => Uint8Array, now: number): Buffer | undefined {
    if (!this.#unproven) return undefined;
    this.#unproven.probedAt = now;
    this.#unproven.token ??= Buffer.from(draw());
    return this.#unproven.token;
  }

  /** True if the address is proven by it, and is the client's from now on. */
  answered(from: Endpoint, token: Buffer): boolean {
    const unproven = this.#unproven;
    if (!unproven?.token || !sameEndpoint(unproven.endpoint, from)) return false;
    if (!timingSafeEqual(unproven.token, token)) return false;
    this.#proven = unproven.endpoint;
    this.#unproven = undefined;
    return true;
  }

  /** May so many bytes be sent there? To an unproven address they are taken from its credit. */
  spend(to: Endpoint, sizeBytes: number): boolean {
    if (this.#proven && sameEndpoint(this.#proven, to)) return true;
    const unproven = this.#unproven;
    if (!unproven || !sameEndpoint(unproven.endpoint, to)) return false;
    if (unproven.creditBytes < sizeBytes) return false;
    unproven.creditBytes -= sizeBytes;
    return true;
  }
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.address === b.address;
}
