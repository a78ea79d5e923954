import type { AdminSource } from '../src/index.ts';

/** A source with one of everything; each test changes what it is about. */
export function sourceOf(changes: Partial<AdminSource> = {}): AdminSource {
  return {
    readiness: () => ({ ready: true, reason: '' }),
    metrics: () => [
      {
        name: 'cache_records',
        help: 'Records.',
        type: 'gauge',
        values: [{ labels: {}, value: 7 }],
      },
    ],
    views: { cluster: ({ limit }) => ({ limit, members: [] }) },
    ...changes,
  };
}

export const silent = { error: () => undefined };
