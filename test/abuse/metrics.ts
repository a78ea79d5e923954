import { get } from 'node:http';

/** One scrape of a process's metrics, by series. */
export class Metrics {
  readonly #values: ReadonlyMap<string, number>;

  constructor(values: ReadonlyMap<string, number>) {
    this.#values = values;
  }

  /** On a connection of its own, so that none is kept open between two looks. */
  static async scrape(adminPort: number): Promise<Metrics> {
    const text = await body(`http://127.0.0.1:${adminPort}/metrics`);
    const values = new Map<string, number>();
    for (const line of text.split('\n')) {
      const [, series, value] = /^argyle_(\S+) (\S+)$/.exec(line) ?? [];
      if (series !== undefined) values.set(series, Number(value));
    }
    return new Metrics(values);
  }

  /** The values of a family by its one label; a family without labels has the key ''. */
  by(name: string): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [series, value] of this.#values) {
      const [, family, label] = /^([^{]+)(?:\{.*?="([^"]*)".*\})?$/.exec(series) ?? [];
      if (family === name) counts[label ?? ''] = (counts[label ?? ''] ?? 0) + value;
    }
    return counts;
  }

  sum(name: string): number {
    return Object.values(this.by(name)).reduce((sum, value) => sum + value, 0);
  }

  /** What was counted since then. Gauges have no meaning in it. */
  since(before: Metrics): Metrics {
    const change = ([series, value]: [string, number]): [string, number] => [
      series,
      value - (before.#values.get(series) ?? 0),
    ];
    return new Metrics(new Map([...this.#values].map(change)));
  }
}

/** What a test expects to have been counted. */
export class Tally {
  readonly counts: Record<string, number> = {};

  add(reason: string): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
  }
}

/** Without the zeros, for comparing and for telling. */
export function nonZero(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
}

export function body(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.on('end', () => resolve(text)).on('error', reject);
    });
    request.on('error', reject);
  });
}
