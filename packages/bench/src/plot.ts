import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Benchmark, Plot } from './benchmark.ts';
import { spread } from './figures.ts';
import { figures, type Results, rowOf } from './results.ts';

const WIDTH = 900;
const PANEL_HEIGHT = 260;
const TOP = 90;
const ACROSS = 2;
/** Percent of the width. */
const PANEL_WIDTH = 38;
const LEFT = [8, 57] as const;

echarts.use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** Where a benchmark's plot stands; beside the document that shows it. */
export function plotPath(document: string, { file }: Plot): string {
  return join(dirname(document), file);
}

/** A panel a figure, a line a contender; both axes logarithmic. */
export function writePlot(path: string, results: Results, plot: Plot): void {
  writeFileSync(path, `${drawPlot(results, plot)}\n`);
}

export function drawPlot(results: Results, plot: Plot): string {
  const { benchmark } = results;
  const rows = Math.ceil(plot.figures.length / ACROSS);
  const height = TOP + rows * PANEL_HEIGHT;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  const place = (index: number) => ({
    left: `${LEFT[index % ACROSS] ?? 0}%`,
    top: TOP + Math.floor(index / ACROSS) * PANEL_HEIGHT,
  });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: [
      { text: plot.title, left: 'center', top: 8 },
      ...plot.figures.map(({ title }, index) => {
        const { left, top } = place(index);
        return { text: title, left, top: top - 26, textStyle: { fontSize: 12 } };
      }),
    ],
    legend: { top: 36 },
    grid: plot.figures.map((_, index) => ({
      ...place(index),
      width: `${PANEL_WIDTH}%`,
      height: PANEL_HEIGHT - 80,
    })),
    xAxis: plot.figures.map((_, gridIndex) => ({
      ...{ type: 'log', logBase: 2, gridIndex, name: plot.x.title },
      ...{ nameLocation: 'middle', nameGap: 24, min: 'dataMin', max: 'dataMax' },
    })),
    yAxis: plot.figures.map((_, gridIndex) => ({ type: 'log', gridIndex })),
    series: plot.figures.flatMap(({ figure }, index) =>
      benchmark.contenders.map(({ name }) => ({
        ...{ type: 'line', name, xAxisIndex: index, yAxisIndex: index },
        data: points(results, plot, name, figure),
      })),
    ),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function points(
  results: Results,
  { x }: Plot,
  contender: string,
  figure: string,
): (readonly [number, number])[] {
  const { loads } = results.benchmark satisfies Benchmark;
  return loads.flatMap((load) => {
    const of = spread(figures(rowOf(results, load, contender), figure));
    return of ? [[x.of(load), of.median] as const] : [];
  });
}
