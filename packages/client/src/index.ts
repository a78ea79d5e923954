export { Client } from './client.ts';
export { ClientError } from './errors.ts';
export type { ClientErrorCode } from './errors.ts';
export type { ClientLimits, ClientOptions } from './options.ts';
export type { Forward, UdpOptions } from './udp-options.ts';
