export { Cache } from './cache.ts';
export type { CacheHit, CacheOptions, PutOutcome } from './cache.ts';
export { BUCKETS, DIGEST_BYTES } from './digests.ts';
export { EXPIRES_AT_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX } from './entry.ts';
export type { CacheRecord } from './entry.ts';
export type { ScanCursor, ScanPage } from './scan.ts';
export { compareVersions, VERSION_BYTES } from './version.ts';
