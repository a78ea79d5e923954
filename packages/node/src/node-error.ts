/**
 * `bad-network`, `bad-user`, `bad-tls`: the options hold something that is none; the message names
 * which. `listen`: the address cannot be listened on; the cause says why. `group`: the group cannot
 * be joined. `stopped`: the node was stopped while it started.
 */
export type NodeErrorCode = 'bad-network' | 'bad-user' | 'bad-tls' | 'listen' | 'group' | 'stopped';

/** The world's fault: misconfigured, in use, out of reach. */
export class NodeError extends Error {
  readonly code: NodeErrorCode;

  constructor(code: NodeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NodeError';
    this.code = code;
  }
}
