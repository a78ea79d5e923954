import { readCount, writeCount } from '@argyle/host';

/** Missing segments of a stream: `first` and those after it, `count` in all. */
export interface Gap {
  readonly first: number;
  readonly count: number;
}

export const GAPS_MAX = 32;
export const GAP_COUNT_MAX = 1024;
const GAP_BYTES = 10;

/** `{ first (64), count (16) } ...` after their number (8). */
export function gapsBytes(gaps: readonly Gap[]): number {
  return 1 + gaps.length * GAP_BYTES;
}

export function writeGaps(gaps: readonly Gap[], body: Buffer, offset: number): void {
  body[offset] = gaps.length;
  gaps.forEach(({ first, count }, index) => {
    writeCount(body, first, offset + 1 + index * GAP_BYTES);
    body.writeUInt16BE(count, offset + 9 + index * GAP_BYTES);
  });
}

/** Undefined if the body does not end with them. */
export function readGaps(body: Buffer, offset: number): Gap[] | undefined {
  const length = body[offset] ?? 0;
  if (length > GAPS_MAX || body.length !== offset + 1 + length * GAP_BYTES) return undefined;
  return Array.from({ length }, (_, index) => ({
    first: readCount(body, offset + 1 + index * GAP_BYTES),
    count: Math.min(GAP_COUNT_MAX, body.readUInt16BE(offset + 9 + index * GAP_BYTES)),
  }));
}

/** What of `gaps` is in none of `others`; at most GAPS_MAX. */
export function without(gaps: readonly Gap[], others: readonly Gap[]): Gap[] {
  let rest = [...gaps];
  for (const { first, count } of others) {
    const end = first + count;
    rest = rest.flatMap((gap) => {
      const gapEnd = gap.first + gap.count;
      const before = { first: gap.first, count: Math.min(gapEnd, first) - gap.first };
      const from = Math.max(gap.first, end);
      const after = { first: from, count: gapEnd - from };
      return [before, after].filter((part) => part.count > 0);
    });
  }
  return rest.slice(0, GAPS_MAX);
}
