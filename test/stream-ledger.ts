import assert from 'node:assert/strict';

/**
 * What every incarnation has sent, and how far each receiver has come in it: what a group hands its
 * replica was sent (invariant 3), comes once and in order, and nothing between is left out (2).
 */
export class StreamLedger {
  readonly #sent = new Map<string, Uint8Array[]>();
  /** By receiver and sender: which message of the stream comes next. */
  readonly #next = new Map<string, number>();
  /** Receivers that were told that a part comes no more, by receiver and sender. */
  readonly #missed = new Set<string>();

  sent(sender: string, message: Uint8Array): void {
    const stream = this.#sent.get(sender) ?? [];
    this.#sent.set(sender, stream);
    stream.push(new Uint8Array(message));
  }

  missed(sender: string, receiver: string): void {
    this.#missed.add(`${receiver} ${sender}`);
  }

  /** `required`: the sender has this receiver in its view, so that it misses nothing unsaid. */
  handed(pair: { sender: string; receiver: string; required: boolean }, message: Uint8Array): void {
    const stream = this.#sent.get(pair.sender);
    assert(stream, '3: somebody sent it');
    const name = `${pair.receiver} ${pair.sender}`;
    const next = this.#next.get(name);
    let index = next ?? 0;
    while (index < stream.length && Buffer.compare(stream[index]!, message) !== 0) index += 1;
    assert(index < stream.length, '2: it was sent, and has not come before');
    const whole = next === undefined || index === next;
    assert(
      whole || !pair.required || this.#missed.delete(name),
      `2: messages ${next} to ${index - 1} were left out`,
    );
    this.#next.set(name, index + 1);
  }
}
