import type { UdpRecord } from '../src/record.ts';
import type { Take } from '../src/take.ts';
import type { NodeProcess } from './processes.ts';

/** Two nodes serve an association at once if so little is between two records of it. */
const AT_ONCE_MS = 100;

/** Who served what and when: tells what a run met with. */
export class History {
  readonly #count: (what: string) => void;
  /** Who offered a take-over for a record, by the record. */
  readonly #offers = new Map<string, NodeProcess>();
  /** By association. */
  readonly #served = new Map<string, { node: NodeProcess; at: number; before: Set<string> }>();
  /** By node and epoch: the highest sequence that was relayed. */
  readonly #highest = new Map<string, number>();

  constructor(count: (what: string) => void) {
    this.#count = count;
  }

  offered(node: NodeProcess, record: UdpRecord, { triggerEpoch, triggerSequence }: Take): void {
    const trigger = `${record.association} ${triggerEpoch} ${triggerSequence}`;
    const other = this.#offers.get(trigger);
    if (other && other.name !== node.name) this.#count('two nodes would take the same association');
    this.#offers.set(trigger, node);
  }

  relayed(node: NodeProcess, { association, epoch, sequence }: UdpRecord): void {
    const at = node.host.now();
    const known = this.#served.get(association);
    const before = known?.before ?? new Set();
    if (known && known.node.name !== node.name) {
      if (at < known.at + AT_ONCE_MS) this.#count('two nodes served an association at once');
      if (before.has(node.name)) this.#count('a former owner served again');
    }
    this.#served.set(association, { node, at, before: before.add(node.name) });
    const highest = this.#highest.get(epoch) ?? -1;
    if (sequence < highest) this.#count('a record was overtaken');
    this.#highest.set(epoch, Math.max(highest, sequence));
  }

  servedBy(association: string): NodeProcess | undefined {
    return this.#served.get(association)?.node;
  }
}
