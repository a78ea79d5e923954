import type { Cancel, Host } from '@argyle/host';
import type { SessionLease, SessionPool } from './session-pool.ts';

/** Leave to make one handshake; `leave` must be called when it is over. */
export interface Passage {
  /** None: this handshake is the full one that the others wait for. */
  readonly lease: SessionLease | undefined;
  leave(outcome: 'connected' | 'failed'): void;
}

/**
 * The nodes hold a new session back until their replicas have it (250 ms at most), so it comes
 * after the login. Without one in this time the next handshake is full as well.
 */
const SESSION_WAIT_MS = 1_000;

/**
 * While there is no session, one handshake goes ahead and the rest wait for what it brings, so that
 * a cold start costs the cluster one full handshake and one password check.
 */
export class SessionGate {
  readonly #host: Host;
  readonly #sessions: SessionPool;
  readonly #waiting: (() => void)[] = [];
  #leading = false;
  /** Set while a finished handshake is waited for to bring its session. */
  #cancelWait: Cancel | undefined;

  constructor(host: Host, sessions: SessionPool) {
    this.#host = host;
    this.#sessions = sessions;
  }

  /** Rejects when the signal aborts. */
  async enter(signal: AbortSignal): Promise<Passage> {
    for (;;) {
      signal.throwIfAborted();
      const lease = this.#leading ? undefined : this.#sessions.take();
      if (lease) return { lease, leave: () => undefined };
      if (!this.#leading) return this.#lead();
      await this.#wait(signal);
    }
  }

  /** A session has come into the pool. */
  sessionAdded(): void {
    if (this.#cancelWait) this.#open();
  }

  stop(): void {
    this.#open();
  }

  #lead(): Passage {
    this.#leading = true;
    return {
      lease: undefined,
      leave: (outcome) => {
        if (outcome === 'failed' || this.#sessions.size > 0) this.#open();
        else this.#cancelWait = this.#host.after(SESSION_WAIT_MS, () => this.#open());
      },
    };
  }

  #open(): void {
    this.#cancelWait?.();
    this.#cancelWait = undefined;
    this.#leading = false;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      signal.addEventListener('abort', wake);
      this.#waiting.push(wake);
    });
  }
}
