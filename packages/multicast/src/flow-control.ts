import { AppliedWindow } from './gates/applied-window.ts';
import { Echo } from './gates/echo.ts';
import { type Gate, type GateName, GATES, OPEN } from './gates/gate.ts';
import { OthersBetween } from './gates/others-between.ts';
import { RepairRequests } from './gates/repair-requests.ts';
import { SelfReceipt } from './gates/self-receipt.ts';
import { SendQueue } from './gates/send-queue.ts';
import { RoundTime } from './round-time.ts';

/** So late a timer says that this process did not run: what came meanwhile is still unread. */
const LATE_MS = 5;
/** Reading has its turn first. */
const READ_MS = 1;

/**
 * The six gates of PROTOCOL.md, "Flow control". A new segment leaves when all that govern are open:
 * the pace is the least of theirs. A repair waits for those that see this member's own machine
 * (self-receipt, queue); for the others it cannot, since it is what opens them.
 */
export class FlowControl {
  readonly round = new RoundTime();
  readonly selfReceipt = new SelfReceipt();
  readonly others = new OthersBetween();
  readonly window = new AppliedWindow();
  readonly requests = new RepairRequests();
  readonly queue = new SendQueue();
  readonly echo = new Echo();
  readonly #governing: readonly [GateName, Gate][];
  readonly #local: readonly Gate[];
  readonly #boundMs = new Map<GateName, number>();
  #binding: GateName | undefined;
  #observedAt = 0;
  /** Nothing counts as lost before. */
  #readUntil = -Infinity;

  /** Those that do not govern go on measuring. */
  constructor(governing: readonly GateName[] = GATES) {
    const gates: Record<GateName, Gate> = {
      'self-receipt': this.selfReceipt,
      others: this.others,
      window: this.window,
      requests: this.requests,
      queue: this.queue,
      echo: this.echo,
    };
    const governs = GATES.filter((name) => governing.includes(name));
    this.#governing = governs.map((name) => [name, gates[name]]);
    const local: readonly Gate[] = [this.selfReceipt, this.queue];
    this.#local = this.#governing.map(([, gate]) => gate).filter((gate) => local.includes(gate));
    for (const name of GATES) this.#boundMs.set(name, 0);
  }

  /** For how long each was the last to be closed while something waited, in milliseconds. */
  get boundMs(): ReadonlyMap<GateName, number> {
    return this.#boundMs;
  }

  /** When something counts as lost; not while the system holds back what was sent. */
  get expiresAt(): number {
    return Math.max(this.#oldestAt, this.queue.opensAt(), this.#readUntil);
  }

  /** From when on a new segment may leave; OPEN or Infinity among them (see `Gate`). */
  opensAt(inFlight: number): number {
    let at = OPEN;
    for (const [, gate] of this.#governing) at = Math.max(at, gate.opensAt(inFlight));
    return at;
  }

  /** From when on a segment may be sent again. */
  repairOpensAt(): number {
    let at = OPEN;
    for (const gate of this.#local) at = Math.max(at, gate.opensAt(0));
    return at;
  }

  /** `inFlight`: before it left. */
  left(sequence: number, inFlight: number, now: number): void {
    this.selfReceipt.left(sequence, now);
    this.window.left(inFlight);
    this.requests.left(now);
    this.echo.left(sequence);
  }

  /** `acknowledged`: one of those it is for acknowledges, so the window is to see to it. */
  leftAgain(sequence: number, acknowledged: boolean, now: number): void {
    this.selfReceipt.left(sequence, now);
    if (acknowledged) this.window.repaired(now, this.round.ms);
  }

  back(sequence: number, now: number): void {
    this.selfReceipt.back(sequence);
    this.others.back(now);
  }

  gone(receiver: string): void {
    this.echo.gone(receiver);
    this.requests.gone(receiver);
  }

  expire(now: number): void {
    if (!this.queue.empty) return;
    if (now - this.#oldestAt > LATE_MS && this.#readUntil < this.#oldestAt) {
      this.#readUntil = now + READ_MS;
      return;
    }
    this.selfReceipt.expire(now);
    this.echo.expire(now);
  }

  /** Called with every change: until the next call the gate found now was the binding one. */
  observe(waiting: boolean, inFlight: number, now: number): void {
    if (this.#binding) {
      const before = this.#boundMs.get(this.#binding) ?? 0;
      this.#boundMs.set(this.#binding, before + now - this.#observedAt);
    }
    this.#observedAt = now;
    this.#binding = waiting ? this.binding(inFlight, now) : undefined;
  }

  /**
   * The gate that opens last; undefined when all are open. What the system holds back cannot come
   * back, so then the queue is the one.
   */
  binding(inFlight: number, now: number): GateName | undefined {
    let binding: GateName | undefined;
    let latest = now;
    for (const [name, gate] of this.#governing) {
      if (gate === this.queue && !this.queue.empty) return name;
      const at = gate.opensAt(inFlight);
      if (at <= latest) continue;
      binding = name;
      latest = at;
    }
    return binding;
  }

  get #oldestAt(): number {
    return Math.min(this.selfReceipt.expiresAt, this.echo.expiresAt);
  }

  /** For a new incarnation; what was learnt of the way to the others stays. */
  restart(): void {
    this.selfReceipt.restart();
    this.others.restart();
    this.requests.restart();
    this.echo.restart();
  }
}
