export { Node } from './node.ts';
export type { NodeDependencies, Readiness } from './node.ts';
export type { CacheHandlers, NodeCache, OpenCache } from './node-cache.ts';
export { parseNetwork } from './network.ts';
export { NodeError } from './node-error.ts';
export type { NodeErrorCode } from './node-error.ts';
export type {
  AuthenticationOptions,
  LimitOptions,
  NodeOptions,
  Rule,
  SessionOptions,
  TlsOptions,
  UserEntry,
} from './options.ts';
export { hashPassword, parsePasswordEntry, SALT_BYTES } from './password.ts';
export { ALPN_PROTOCOL } from './secure-connection.ts';
