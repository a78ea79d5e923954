/**
 * `configuration`: a PEM of the options cannot be used. `listen`: the local port cannot be had.
 * `refused`, `unreachable`, `timeout`: no connection to a node. `reset`, `closed`: it broke off, or
 * the node ended it. `tls`: no handshake. `certificate`: one side does not accept the other's
 * certificate. `protocol`: what answers is not an Argyle node. `authentication`: user and password
 * are not accepted. `exhausted`: no node is left to try. `stopped`: the client is stopping, or the
 * request's time is over.
 */
export type ClientErrorCode =
  | 'configuration'
  | 'listen'
  | 'refused'
  | 'unreachable'
  | 'timeout'
  | 'reset'
  | 'closed'
  | 'tls'
  | 'certificate'
  | 'protocol'
  | 'authentication'
  | 'exhausted'
  | 'stopped';

export class ClientError extends Error {
  readonly code: ClientErrorCode;
  constructor(code: ClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ClientError';
    this.code = code;
  }
}

/** Failures that mend themselves when the node comes back; the others wait for a person. */
export function isTransient(code: ClientErrorCode): boolean {
  return code !== 'certificate' && code !== 'authentication' && code !== 'protocol';
}
