import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { MetricFamily } from './snapshot.ts';

const PREFIX = 'argyle_';

/**
 * A registry of its own, filled from the source once a scrape. The source keeps the counts; the
 * registry only writes them down, so nothing is counted in two places.
 */
export class Metrics {
  readonly #source: () => readonly MetricFamily[];
  readonly #registry = new Registry();
  readonly #families = new Map<string, { family: MetricFamily; labels: string }>();

  constructor(source: () => readonly MetricFamily[]) {
    this.#source = source;
    collectDefaultMetrics({ register: this.#registry, prefix: PREFIX });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The Prometheus text format. */
  text(): Promise<string> {
    const families = this.#source().filter((family) => family.values.length > 0);
    const gone = new Set(this.#families.keys());
    for (const family of families) {
      this.#register(family);
      gone.delete(family.name);
    }
    for (const name of gone) this.#remove(name);
    return this.#registry.metrics();
  }

  #register(family: MetricFamily): void {
    const labelNames = [...new Set(family.values.flatMap((value) => Object.keys(value.labels)))];
    const labels = labelNames.toSorted().join();
    const known = this.#families.get(family.name);
    if (known && known.labels === labels && known.family.type === family.type) {
      known.family = family;
      return;
    }
    if (known) this.#remove(family.name);
    const entry = { family, labels };
    this.#families.set(family.name, entry);
    const shared = {
      name: PREFIX + family.name,
      help: family.help,
      labelNames,
      registers: [this.#registry],
    };
    if (family.type === 'gauge') {
      new Gauge({
        ...shared,
        collect() {
          this.reset();
          for (const { labels, value } of entry.family.values) this.set(labels, value);
        },
      });
    } else {
      new Counter({
        ...shared,
        collect() {
          this.reset();
          for (const { labels, value } of entry.family.values) this.inc(labels, value);
        },
      });
    }
  }

  #remove(name: string): void {
    this.#registry.removeSingleMetric(PREFIX + name);
    this.#families.delete(name);
  }
}
