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
 * Joins a machine to a host: feeds it, drains it, arms one timer. Events are given at once, and an
 * event handler may give the machine further commands through `run`. Outputs are carried out at the
 * end of the host's turn, so that what was written in one turn can share a datagram, and what
 * arrived in one turn an answer.
 */
export class Driver<Event> {
  readonly #host: Host;
  readonly #machine: Machine<Event>;
  readonly #handlers: DriverHandlers<Event>;
  #port: Port | undefined;
  #cancel: Cancel | undefined;
  #armedFor = Infinity;
  #cancelFlush: Cancel | undefined;
  #wallOffset = Number.NaN;
  #polling = false;
  #flushing = false;
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

  /** Runs a command on the machine; all that follows from it is carried out by itself. */
  run<Result>(command: (now: number) => Result): Result {
    const now = this.#host.now();
    this.#readClock(now);
    const result = command(now);
    this.#pollEvents();
    this.#flushSoon();
    return result;
  }

  /** Carries out what is left to do, then frees the port. */
  close(closed?: () => void): void {
    if (!this.#closed) this.#flush();
    this.#closed = true;
    this.#cancel?.();
    this.#cancelFlush?.();
    if (this.#port) this.#port.close(closed);
    else closed?.();
  }

  #readClock(now: number): void {
    const offset = this.#host.wallOffset();
    if (Math.abs(offset - this.#wallOffset) <= CLOCK_STEP_MS) return;
    this.#wallOffset = offset;
    this.#machine.handleClock(offset, now);
  }

  #pollEvents(): void {
    if (this.#polling) return;
    this.#polling = true;
    try {
      while (!this.#closed) {
        const event = this.#machine.pollEvent(this.#host.now());
        if (event === undefined) return;
        this.#handlers.event(event);
      }
    } finally {
      this.#polling = false;
    }
  }

  #flushSoon(): void {
    if (this.#closed || this.#flushing) return;
    this.#cancelFlush ??= this.#host.after(0, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    this.#flushing = true;
    if (this.#port) this.#machine.handleBacklog?.(this.#port.waitingBytes, this.#host.now());
    const drained = this.#carryOutBatch();
    this.#flushing = false;
    if (this.#closed) return;
    if (drained) this.#arm();
    else this.#flushSoon();
  }

  /** False when there may be more. */
  #carryOutBatch(): boolean {
    for (let outputs = 0; outputs < BATCH_OUTPUTS && !this.#closed; outputs += 1) {
      const output = this.#machine.pollOutput(this.#host.now());
      if (output === undefined) return true;
      this.#carryOut(output);
      this.#pollEvents();
    }
    return false;
  }

  #carryOut(output: Output): void {
    const port = this.#port;
    if (!port) return;
    if (output.kind === 'multicast') port.multicast(output.bytes);
    else if (output.kind === 'rejoin') port.rejoin();
    else if (output.kind === 'unicast') port.unicast(output.bytes, output.to);
    else if (output.kind === 'link-open') port.openLink(output.link, output.to);
    else if (output.kind === 'link-write') port.writeLink(output.link, output.bytes);
    else port.closeLink(output.link);
  }

  /** A timer that would fire too early is left: most deadlines move on before they come. */
  #arm(): void {
    const { deadline } = this.#machine;
    if (deadline >= this.#armedFor) return;
    this.#cancel?.();
    this.#armedFor = deadline;
    const delayMs = Math.max(0, deadline - this.#host.now());
    this.#cancel = this.#host.after(delayMs, () => {
      this.#cancel = undefined;
      this.#armedFor = Infinity;
      this.run((now) => {
        if (this.#machine.deadline <= now) this.#machine.handleDeadline(now);
      });
    });
  }
}
