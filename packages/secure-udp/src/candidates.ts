import { Candidate } from './candidate.ts';
import type { ClientEpoch } from './client-epoch.ts';
import { EPOCHS_MAX } from './constants.ts';

/** A client's candidates in order of preference, which is in use, and all epochs. */
export class Candidates {
  /** The one in use. It may be none of the list any more. */
  current: Candidate | undefined;
  #list: Candidate[] = [];
  /** These only receive: their nodes may still have something for the client. */
  #retired: ClientEpoch[] = [];

  get list(): readonly Candidate[] {
    return this.#list;
  }

  get others(): Candidate[] {
    return this.#list.filter((candidate) => candidate !== this.current);
  }

  get retired(): readonly ClientEpoch[] {
    return this.#retired;
  }

  /** Answers those that are no longer among them. */
  set(endpoints: readonly string[]): Candidate[] {
    const before = this.#list;
    this.#list = [...new Set(endpoints)].map(
      (endpoint) => this.at(endpoint) ?? new Candidate(endpoint),
    );
    return before.filter((candidate) => !this.#list.includes(candidate));
  }

  at(endpoint: string): Candidate | undefined {
    if (this.current?.endpoint === endpoint) return this.current;
    return this.#list.find((candidate) => candidate.endpoint === endpoint);
  }

  epoch(id: string): ClientEpoch | undefined {
    const inUse = this.current?.epoch;
    if (inUse?.id === id) return inUse;
    for (const epoch of this.epochs()) if (epoch.id === id) return epoch;
    return undefined;
  }

  *epochs(): Generator<ClientEpoch> {
    if (this.current?.epoch) yield this.current.epoch;
    for (const candidate of this.#list) {
      if (candidate.epoch && candidate !== this.current) yield candidate.epoch;
    }
    yield* this.#retired;
  }

  /** Whose epoch it is now; undefined for one that only receives. */
  holder(epoch: ClientEpoch): Candidate | undefined {
    if (this.current?.epoch === epoch) return this.current;
    return this.#list.find((candidate) => candidate.epoch === epoch);
  }

  /** Gives a candidate another epoch; the former one only receives. */
  install(candidate: Candidate, epoch: ClientEpoch): void {
    if (candidate.epoch === epoch) return;
    if (candidate.epoch) this.retire(candidate);
    this.#retired = this.#retired.filter((each) => each !== epoch);
    candidate.epoch = epoch;
  }

  /** Its epoch only receives from now on. */
  retire(candidate: Candidate): void {
    const { epoch } = candidate;
    if (!epoch) return;
    candidate.epoch = undefined;
    this.#retired = [epoch, ...this.#retired].slice(0, EPOCHS_MAX);
  }

  /** Drops the epochs that nothing came from for too long; answers when the next one is due. */
  expire(now: number): number {
    if (this.#retired.length === 0) return Infinity;
    this.#retired = this.#retired.filter(({ expiresAt }) => expiresAt > now);
    return Math.min(Infinity, ...this.#retired.map(({ expiresAt }) => expiresAt));
  }

  /**
   * The standby to switch to: one that has answered since the suspicion, if there is one, and then
   * the most preferred.
   */
  best(suspectedSince: number): Candidate | undefined {
    const ready = this.others.filter((candidate) => candidate.ready);
    return ready.find(({ answeredAt }) => answeredAt >= suspectedSince) ?? ready[0];
  }

  /** Nothing is sealed in any epoch of now any more. */
  forget(): void {
    for (const epoch of this.epochs()) epoch.forgotten = true;
    for (const candidate of [...this.#list, this.current]) if (candidate) this.retire(candidate);
    this.current = undefined;
  }
}
