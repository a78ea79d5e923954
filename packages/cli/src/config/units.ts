const MILLISECONDS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = { B: 1, KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 } as const;

/** `250ms`, `10s`, `1.5h`: milliseconds, whole. A number without a unit is none. */
export function parseDuration(text: string): number | undefined {
  return parse(text, MILLISECONDS);
}

/** `1400B`, `64MiB`: bytes, whole. */
export function parseSize(text: string): number | undefined {
  return parse(text, BYTES);
}

function parse(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)([A-Za-z]+)$/.exec(text);
  const unit = units[match?.[2] ?? ''];
  if (!match || unit === undefined) return undefined;
  const value = Number(match[1]) * unit;
  return Number.isInteger(value) ? value : undefined;
}
