/** What the endpoint shows. It imports nothing of Argyle's: whoever composes it supplies this. */
export interface AdminSource {
  readiness(): Readiness;
  metrics(): readonly MetricFamily[];
  /** Each becomes `GET /api/v1/NAME`; the answer is sent as JSON. Plain values, never a secret. */
  readonly views: Readonly<Record<string, (query: ViewQuery) => unknown>>;
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not, as a sentence; empty when ready. */
  readonly reason: string;
}

export interface ViewQuery {
  /** Rows at most; between 1 and 10 000. */
  readonly limit: number;
}

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
