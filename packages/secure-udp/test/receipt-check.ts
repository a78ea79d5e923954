import assert from 'node:assert/strict';
import { isReceived, type Receipt } from '../src/content.ts';

interface Claim {
  readonly epoch: string;
  readonly kind: 'received' | 'leave';
  readonly receipt: Receipt;
}

/**
 * What nodes say that they have relayed is so: no receipt names a payload that its node did not
 * relay in that epoch, LEAVE names each one that it did, and after LEAVE none is relayed there.
 */
export class ReceiptCheck {
  /** Payloads by epoch and sequence that clients sealed, and those of them that were relayed. */
  readonly #sealed = new Map<string, number[]>();
  readonly #relayed = new Map<string, Set<number>>();
  readonly #left = new Set<string>();
  /** Said while a datagram is handled, whose payloads are not known yet. */
  #claims: Claim[] = [];

  sealed(epoch: string, sequence: number): void {
    const sequences = this.#sealed.get(epoch);
    if (sequences) sequences.push(sequence);
    else this.#sealed.set(epoch, [sequence]);
  }

  relayed(epoch: string, sequence: number): void {
    assert(!this.#left.has(epoch), 'nothing is relayed in an epoch that was left');
    const sequences = this.#relayed.get(epoch);
    if (sequences) sequences.add(sequence);
    else this.#relayed.set(epoch, new Set([sequence]));
  }

  said(claim: Claim): void {
    this.#claims.push(claim);
  }

  /** After all that follows from one input. */
  settle(): void {
    for (const claim of this.#claims.splice(0)) this.#verify(claim);
  }

  #verify({ epoch, kind, receipt }: Claim): void {
    const relayed = this.#relayed.get(epoch);
    for (const sequence of this.#sealed.get(epoch) ?? []) {
      if (isReceived(receipt, sequence) !== true || relayed?.has(sequence)) continue;
      assert.fail(`${kind} names ${epoch} ${sequence}, which was not relayed`);
    }
    if (kind === 'received') return;
    this.#left.add(epoch);
    for (const sequence of relayed ?? []) {
      const said = isReceived(receipt, sequence);
      assert(said !== false, `LEAVE does not name ${epoch} ${sequence}, which was relayed`);
    }
  }
}
