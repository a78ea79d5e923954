/** Counters and gauges in the shape that an admin endpoint shows. */
export interface MetricFamily {
  /** Without the prefix `argyle_`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly values: readonly MetricValue[];
}

export interface MetricValue {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
