import { formatNumber, formatSpread } from './figures.ts';
import { figures, judge, ratios, rowOf, type Results } from './results.ts';
import type { Benchmark } from './benchmark.ts';

const RATIO_DIGITS = 2;

/** The header of a benchmark's table, as the documents must have it. */
export function header({ columns, ratio }: Benchmark): string {
  const titles = columns.map(({ title }) => title);
  return line(['load', 'contender', ...titles, `${ratio.title} ÷ ${ratio.contender}`]);
}

/** Question, table, verdicts and notes in Markdown. */
export function report(results: Results): string {
  const { benchmark } = results;
  const parts = [benchmark.question, table(results), verdicts(results), benchmark.notes.join(' ')];
  return parts.filter((part) => part !== '').join('\n\n');
}

function table(results: Results): string {
  const { columns, ratio } = results.benchmark;
  const rows = results.rows.map((row) => {
    const base = rowOf(results, row.load, ratio.contender);
    const cells = columns.map(({ figure, digits }) => formatSpread(figures(row, figure), digits));
    if (row.missing !== undefined) cells[0] = row.missing;
    const compared = formatSpread(ratios(row, base, ratio.figure), RATIO_DIGITS);
    return line([row.load, row.contender, ...cells, compared]);
  });
  const numbers = [...columns, ratio].map(() => '---:');
  return [header(results.benchmark), line(['---', '---', ...numbers]), ...rows].join('\n');
}

function verdicts(results: Results): string {
  return judge(results)
    .map(({ bar, value, met }) => {
      const said = `${bar.text} (${bar.contender}; ${bar.load})`;
      if (value === undefined) return `- not measured: ${said}`;
      return `- ${met ? 'met' : 'MISSED'}: ${said}: ${formatNumber(value, RATIO_DIGITS)}`;
    })
    .join('\n');
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
