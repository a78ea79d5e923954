/** Of several rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Undefined of nothing. */
export function spread(values: readonly number[]): Spread | undefined {
  const sorted = [...values].sort((one, other) => one - other);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined || min === undefined || max === undefined)
    return undefined;
  return { median: (low + high) / 2, min, max };
}

/** `1 234 (1 200–1 300)`; a single round has no range, and nothing at all is empty. */
export function formatSpread(values: readonly number[], digits: number): string {
  const of = spread(values);
  if (!of) return '';
  const middle = formatNumber(of.median, digits);
  if (values.length === 1) return middle;
  return `${middle} (${formatNumber(of.min, digits)}–${formatNumber(of.max, digits)})`;
}

/** With spaces between thousands. */
export function formatNumber(value: number, digits: number): string {
  const [whole = '', fraction] = value.toFixed(digits).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ' ');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

export interface Quantiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function quantiles(latenciesMs: readonly number[]): Quantiles {
  const sorted = Float64Array.from(latenciesMs).sort();
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
