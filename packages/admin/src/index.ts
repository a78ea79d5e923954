export { Admin } from './admin.ts';
export type { AdminEndpoint, AdminLog, AdminOptions } from './admin.ts';
export { AdminError } from './admin-error.ts';
export type { AdminErrorCode } from './admin-error.ts';
export type { AdminSource, MetricFamily, MetricValue, Readiness, ViewQuery } from './snapshot.ts';
