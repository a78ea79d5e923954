import assert from 'node:assert/strict';
import type { AssociationRecord } from '../src/association-record.ts';
import type { NodeEvent } from '../src/node-association.ts';
import type { NodeProcess } from './processes.ts';

/** Of the specification: how long an owner may be late, and how often it claims. */
const LET_GO_MS = 1_000;
const CLAIM_SPACING_MS = 1_000;
/** Of sums of times. */
const ROUNDING_MS = 1e-6;

interface Service {
  /** When this life of the node relayed its newest payload, and claimed. */
  payloadAt: number;
  claimedAt: number;
  /** Since when its cache has named another. */
  foreignSince: number;
  /** Of the newest claim that its cache has had. */
  claims: number;
  open: boolean;
}

/**
 * How long two nodes may serve one association: who knows of another's claim, and has had no
 * payload for a second, lets go. Nobody claims more than once a second.
 */
export class OwnershipCheck {
  readonly #count: (what: string) => void;
  readonly #services = new Map<string, Map<NodeProcess, Service>>();

  constructor(count: (what: string) => void) {
    this.#count = count;
  }

  event(node: NodeProcess, event: NodeEvent): void {
    if (!('association' in event)) return;
    const now = node.host.now();
    const service = this.#service(node, event.association);
    if (event.kind === 'payload') {
      service.payloadAt = now;
      if (service.open) return;
      service.open = true;
      this.#count(
        this.#alone(event.association) ? 'served alone' : 'two nodes held an association',
      );
    } else if (event.kind === 'let go' || event.kind === 'ended') {
      service.open = false;
      service.foreignSince = Infinity;
    } else if (event.kind === 'claim') {
      const sinceMs = now - service.claimedAt;
      assert(
        sinceMs > CLAIM_SPACING_MS - ROUNDING_MS,
        `${node.name} claims again after ${sinceMs} ms`,
      );
      service.claimedAt = now;
    }
  }

  /** The node's cache has it so. */
  named(node: NodeProcess, association: string, { owner, claims }: AssociationRecord): void {
    const service = this.#service(node, association);
    if (claims < service.claims) return;
    service.claims = claims;
    if (owner === node.name || !service.open) service.foreignSince = Infinity;
    else service.foreignSince = Math.min(service.foreignSince, node.host.now());
  }

  /** The node has done all that was due. */
  tended(node: NodeProcess): void {
    for (const services of this.#services.values()) {
      const { open, foreignSince, payloadAt } = services.get(node) ?? CLOSED;
      const letGoAt = Math.max(foreignSince, payloadAt) + LET_GO_MS;
      assert(!open || node.host.now() < letGoAt + ROUNDING_MS, `${node.name} has not let go`);
    }
  }

  /** Who serves it now, among those that live. */
  holders(association: string): string[] {
    const services = [...(this.#services.get(association) ?? [])];
    return services.flatMap(([node, { open }]) => (open && node.alive ? [node.name] : []));
  }

  #alone(association: string): boolean {
    return this.holders(association).length === 1;
  }

  #service(node: NodeProcess, association: string): Service {
    let services = this.#services.get(association);
    if (!services) this.#services.set(association, (services = new Map()));
    let service = services.get(node);
    if (!service) services.set(node, (service = { ...CLOSED }));
    return service;
  }
}

const CLOSED: Service = {
  payloadAt: -Infinity,
  claimedAt: -Infinity,
  foreignSince: Infinity,
  claims: 0,
  open: false,
};
