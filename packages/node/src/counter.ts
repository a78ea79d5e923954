import type { MetricFamily } from '@argyle/host';

/** Counts by the values of its labels; a label takes its values from a small union. */
export class Counter<Labels extends readonly string[] = readonly []> {
  readonly #name: string;
  readonly #help: string;
  readonly #labels: { readonly [Index in keyof Labels]: string };
  readonly #counts = new Map<string, { readonly values: Labels; count: number }>();

  constructor(
    name: string,
    help: string,
    options: {
      labels: { readonly [Index in keyof Labels]: string };
      /** Shown as 0 from the start, so that a rate has a beginning. */
      known: readonly Labels[];
    },
  ) {
    this.#name = name;
    this.#help = help;
    this.#labels = options.labels;
    for (const values of options.known) this.add(values, 0);
  }

  add(values: Labels, by = 1): void {
    const key = values.join('\n');
    const entry = this.#counts.get(key);
    if (entry) entry.count += by;
    else this.#counts.set(key, { values, count: by });
  }

  count(values: Labels): number {
    return this.#counts.get(values.join('\n'))?.count ?? 0;
  }

  family(): MetricFamily {
    const values = [...this.#counts.values()].map(({ values, count }) => ({
      labels: Object.fromEntries(values.map((value, index) => [this.#labels[index], value])),
      value: count,
    }));
    return { name: this.#name, help: this.#help, type: 'counter', values };
  }
}

export function gauge(name: string, help: string, value: number): MetricFamily {
  return { name, help, type: 'gauge', values: [{ labels: {}, value }] };
}
