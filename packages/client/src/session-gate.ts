import type { Cancel, Host } from '@argyle/host';
import type { SessionLease, SessionPool } from './session-pool.ts';

/** Leave to make one handshake; `leave` must be called when it is over. */
export interface Passage {
  /** None: this handshake is a full one. */
  readonly lease: SessionLease | undefined;
  /** The node has taken the TCP connection. */
  accepted(): void;
  /** The node gives no sign of life: others need not wait for it. */
  giveWay(): void;
  leave(outcome: 'connected' | 'failed'): void;
}

/**
 * The nodes hold a new session back until their replicas have it (250 ms at most), so it comes
 * after the login. Without one in this time the next handshake is full as well.
 */
const SESSION_WAIT_MS = 1_000;
/**
 * When no handshake has succeeded for so long, sessions may have ended in the cluster, all at once:
 * one handshake tries before the others. Longer, and a burst after a rest is full handshakes and
 * password checks; shorter, and handshakes wait for each other that need not.
 */
const PROVEN_MS = 5_000;
/**
 * How long others wait for the one ahead of them before the next goes ahead: its node may be
 * silent. Shorter, and a slow node is asked for several full handshakes and password checks.
 */
const LEAD_MS = { resuming: 500, full: 2_000 };
/**
 * The same before the node has even taken the connection: there may be nobody (RFC 8305 §5). Only
 * where a round trip takes longer do more handshakes than one begin without a session.
 */
const LEAD_UNACCEPTED_MS = 250;

/**
 * While there is no session, or none that is known to be good, one handshake goes ahead and the
 * rest wait for what it brings, so that a cold start, or a move after a rest, costs the cluster one
 * full handshake and one password check.
 */
export class SessionGate {
  readonly #host: Host;
  readonly #sessions: SessionPool;
  readonly #waiting: (() => void)[] = [];
  #leader: Passage | undefined;
  #leaderWantsSession = false;
  #cancelLead: Cancel | undefined;
  #provenAt = -Infinity;

  constructor(host: Host, sessions: SessionPool) {
    this.#host = host;
    this.#sessions = sessions;
  }

  /**
   * Rejects when the signal aborts. `doubtful`: the handshake is likely to come to nothing. With a
   * session it goes beside the others then, who do not wait for it, and without one they wait only
   * a moment, whether its node takes the connection or not: the system takes it for a process that
   * stands still.
   */
  async enter(signal: AbortSignal, { doubtful = false } = {}): Promise<Passage> {
    for (;;) {
      signal.throwIfAborted();
      if (!this.#leader || (doubtful && this.#sessions.size > 0)) {
        const lease = this.#sessions.take();
        const proven = this.#host.now() - this.#provenAt < PROVEN_MS;
        if (!lease || (!proven && !doubtful)) return this.#lead(lease, doubtful);
        const leave = (outcome: 'connected' | 'failed') => this.#left(outcome);
        return { lease, accepted: () => undefined, giveWay: () => undefined, leave };
      }
      await this.#wait(signal);
    }
  }

  /** A session has come into the pool. */
  sessionAdded(): void {
    if (this.#leaderWantsSession) this.#open();
  }

  stop(): void {
    this.#open();
  }

  #lead(lease: SessionLease | undefined, doubtful: boolean): Passage {
    const passage: Passage = {
      lease,
      accepted: () => {
        if (this.#leader !== passage || this.#leaderWantsSession || doubtful) return;
        this.#openAfter(lease ? LEAD_MS.resuming : LEAD_MS.full);
      },
      giveWay: () => {
        if (this.#leader === passage) this.#open();
      },
      leave: (outcome) => {
        this.#left(outcome);
        if (this.#leader !== passage) return;
        if (outcome === 'failed' || this.#sessions.size > 0) this.#open();
        else {
          this.#leaderWantsSession = true;
          this.#openAfter(SESSION_WAIT_MS);
        }
      },
    };
    this.#leader = passage;
    this.#openAfter(LEAD_UNACCEPTED_MS);
    return passage;
  }

  #left(outcome: 'connected' | 'failed'): void {
    if (outcome === 'connected') this.#provenAt = this.#host.now();
  }

  #openAfter(ms: number): void {
    this.#cancelLead?.();
    this.#cancelLead = this.#host.after(ms, () => this.#open());
  }

  #open(): void {
    this.#cancelLead?.();
    this.#cancelLead = undefined;
    this.#leaderWantsSession = false;
    this.#leader = undefined;
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
