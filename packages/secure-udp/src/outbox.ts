/** A datagram to send. The driver owns `bytes` afterwards. */
export interface Outgoing<To> {
  readonly bytes: Buffer;
  readonly to: To;
}

/**
 * Records that wait to be sent. Those to one place that come one after another share a datagram as
 * far as it goes: a driver that drains after each input pays for one datagram where an input caused
 * a receipt and an answer.
 */
export class Outbox<To> {
  readonly #datagramBytes: number;
  readonly #same: (a: To, b: To) => boolean;
  readonly #waiting: { readonly to: To; readonly records: Buffer[]; sizeBytes: number }[] = [];
  #taken = 0;

  constructor(datagramBytes: number, same: (a: To, b: To) => boolean) {
    this.#datagramBytes = datagramBytes;
    this.#same = same;
  }

  push(record: Buffer, to: To): void {
    const last = this.#waiting.at(-1);
    const sizeBytes = (last?.sizeBytes ?? 0) + record.length;
    if (last && sizeBytes <= this.#datagramBytes && this.#same(last.to, to)) {
      last.records.push(record);
      last.sizeBytes = sizeBytes;
    } else this.#waiting.push({ to, records: [record], sizeBytes: record.length });
  }

  poll(): Outgoing<To> | undefined {
    const next = this.#waiting[this.#taken];
    if (!next) return undefined;
    this.#taken += 1;
    if (this.#taken === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#taken = 0;
    }
    const [first] = next.records;
    const bytes = next.records.length === 1 && first ? first : Buffer.concat(next.records);
    return { bytes, to: next.to };
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#taken = 0;
  }
}
