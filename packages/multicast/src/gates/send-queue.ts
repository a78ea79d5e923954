import { type Gate, OPEN } from './gate.ts';

/** Nobody says when the system takes the rest: it is looked at again. */
const LOOK_AGAIN_MS = 1;

/**
 * What the system has not taken yet: its socket buffer is full, so the sender's own line is slower
 * than the sender. Blind where a line further on drops in silence.
 */
export class SendQueue implements Gate {
  #waitingBytes = 0;
  #lookAt = OPEN;

  get empty(): boolean {
    return this.#waitingBytes === 0;
  }

  opensAt(): number {
    return this.empty ? OPEN : this.#lookAt;
  }

  handleBacklog(waitingBytes: number, now: number): void {
    this.#waitingBytes = waitingBytes;
    this.#lookAt = now + LOOK_AGAIN_MS;
  }
}
