import type { Cancel, Host, Port, PortOptions } from './host.ts';
import type { Endpoint, Machine, Output } from './machine.ts';

export interface DriverHandlers<Event> {
  event(event: Event): void;
  opened(own: Endpoint): void;
  failed(error: Error): void;
  unsent(error: Error): void;
}

/**
 * Outputs carried out before other work gets a turn, so that a busy sender still reads (FACTS 14).
 */
const BATCH_OUTPUTS = 64;
/** A wall clock that moved further than this against the monotonic one was stepped. */
const CLOCK_STEP_MS = 2;

/**
 * Joins a machine to a host: feeds it, drains it, arms one timer. An event handler may give the
 * machine further commands through `run`; the drain that is under way carries them out.
 */
export class Driver<Event> {
  readonly #host: Host;
  readonly #machine: Machine<Event>;
  readonly #handlers: DriverHandlers<Event>;
  #port: Port | undefined;
  #cancel: Cancel | undefined;
  #armedFor = Infinity;
  #wallOffset = Number.NaN;
  #draining = false;
  #closed = false;

  constructor(host: Host, machine: Machine<Event>, handlers: DriverHandlers<Event>) {
    this.#host = host;
    this.#machine = machine;
    this.#handlers = handlers;
  }

  start(options: PortOptions): void {
    this.#port = this.#host.openPort(options, {
      opened: (own) => {
        this.#handlers.opened(own);
        this.run(() => undefined);
      },
      failed: (error) => this.#handlers.failed(error),
      unsent: (error) => this.#handlers.unsent(error),
      datagram: (bytes, from, channel) =>
        this.run((now) => this.#machine.handleDatagram(bytes, from, channel, now)),
      link: (input) => this.run((now) => this.#machine.handleLink(input, now)),
    });
  }

  /** Runs a command on the machine, then carries out all that follows from it. */
  run<Result>(command: (now: number) => Result): Result {
    const now = this.#host.now();
    this.#readClock(now);
    const result = command(now);
    this.#drain();
    return result;
  }

  close(closed?: () => void): void {
    this.#closed = true;
    this.#cancel?.();
    if (this.#port) this.#port.close(closed);
    else closed?.();
  }

  #readClock(now: number): void {
    const offset = this.#host.wallOffset();
    if (Math.abs(offset - this.#wallOffset) <= CLOCK_STEP_MS) return;
    this.#wallOffset = offset;
    this.#machine.handleClock(offset, now);
  }

  #drain(): void {
    if (this.#draining || this.#closed) return;
    this.#draining = true;
    let outputs = 0;
    try {
      for (;;) {
        const now = this.#host.now();
        const event = this.#machine.pollEvent(now);
        if (event !== undefined) {
          this.#handlers.event(event);
          continue;
        }
        if (this.#closed || outputs >= BATCH_OUTPUTS) break;
        const output = this.#machine.pollOutput(now);
        if (output === undefined) break;
        outputs += 1;
        this.#carryOut(output);
      }
    } finally {
      this.#draining = false;
    }
    this.#arm(outputs >= BATCH_OUTPUTS);
  }

  #carryOut(output: Output): void {
    const port = this.#port;
    if (!port) return;
    if (output.kind === 'multicast') port.multicast(output.bytes);
    else if (output.kind === 'unicast') port.unicast(output.bytes, output.to);
    else if (output.kind === 'link-open') port.openLink(output.link, output.to);
    else if (output.kind === 'link-write') port.writeLink(output.link, output.bytes);
    else port.closeLink(output.link);
  }

  #arm(yielded: boolean): void {
    if (this.#closed) return;
    const deadline = yielded ? -Infinity : this.#machine.deadline;
    if (deadline === this.#armedFor && this.#cancel) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedFor = deadline;
    if (deadline === Infinity) return;
    const delayMs = Math.max(0, deadline - this.#host.now());
    this.#cancel = this.#host.after(delayMs, () => {
      this.#cancel = undefined;
      this.run((now) => {
        if (this.#machine.deadline <= now) this.#machine.handleDeadline(now);
      });
    });
  }
}
