export { Node } from './node.ts';
export type { NodeDependencies, Readiness } from './node.ts';
export type { CacheHandlers, NodeCache, OpenCache } from './node-cache.ts';
export { certificateDates } from './certificate-dates.ts';
export type { CertificateDates } from './certificate-dates.ts';
export { NodeError } from './node-error.ts';
export type { NodeErrorCode } from './node-error.ts';
export type {
  AuthenticationOptions,
  BindOptions,
  LimitOptions,
  NodeOptions,
  Rule,
  SessionOptions,
  SocksOptions,
  TlsOptions,
  UserEntry,
} from './options.ts';
export { hashPassword, parsePasswordEntry, SALT_BYTES } from './password.ts';
export { ALPN_PROTOCOL } from './secure-connection.ts';
