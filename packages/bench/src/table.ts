import { formatNumber, formatSpread } from './figures.ts';
import { figures, judge, ratios, rowOf, type Results } from './results.ts';
import type { Benchmark } from './benchmark.ts';

const RATIO_DIGITS = 2;

/** The header of a benchmark's table, as the documents must have it. */
export function header({ columns, baseline }: Benchmark): string {
  const titles = columns.map(({ title }) => title);
  const ratioTitles = baseline.figures.map(({ title }) => `${title} ÷ ${baseline.contender}`);
  return line(['load', 'contender', ...titles, ...ratioTitles]);
}

/** Question, table, verdicts and notes in Markdown. */
export function report(results: Results): string {
  const { benchmark } = results;
  const parts = [benchmark.question, table(results), verdicts(results)];
  parts.push([...benchmark.notes, circumstances(results)].join(' '));
  return parts.filter((part) => part !== '').join('\n\n');
}

function table(results: Results): string {
  const { columns, baseline } = results.benchmark;
  const rows = results.rows.map((row) => {
    const base = rowOf(results, row.load, baseline.contender);
    const cells = columns.map(({ figure, digits }) => formatSpread(figures(row, figure), digits));
    if (row.absent !== undefined && row.samples.length === 0) cells[0] = row.absent;
    const compared = baseline.figures.map(({ figure }) =>
      formatSpread(ratios(row, base, figure), RATIO_DIGITS),
    );
    return line([row.load, row.contender, ...cells, ...compared]);
  });
  const numbers = [...columns, ...baseline.figures].map(() => '---:');
  return [header(results.benchmark), line(['---', '---', ...numbers]), ...rows].join('\n');
}

function circumstances({ rounds, seconds, machine, othersShare, benchmark }: Results): string {
  const length = benchmark.fresh ? '' : ` of ${formatNumber(seconds, 1)} s`;
  const runs = rounds === 1 ? `one run${length}` : `median (least–most) of ${rounds} runs${length}`;
  const others = formatNumber(othersShare * 100, 0);
  return `Figures: ${runs}; ${machine}; other work took ${others} % of the machine.`;
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
