/**
 * The addresses of a host name, IPv4 and IPv6, at least one, in no order that means anything.
 * Rejects with what is wrong when there is none to be had, or when the signal aborts, at once.
 */
export type Resolve = (name: string, signal: AbortSignal) => Promise<readonly string[]>;
