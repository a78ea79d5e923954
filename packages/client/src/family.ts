import type { MetricFamily, MetricValue } from '@argyle/host';

export function counter(name: string, help: string, values: readonly MetricValue[]): MetricFamily {
  return { name, help, type: 'counter', values };
}

export function gauge(name: string, help: string, values: readonly MetricValue[]): MetricFamily {
  return { name, help, type: 'gauge', values };
}

export function single(value: number): MetricValue[] {
  return [{ labels: {}, value }];
}

export function byLabel(label: string, counts: Readonly<Record<string, number>>): MetricValue[] {
  return Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
}
