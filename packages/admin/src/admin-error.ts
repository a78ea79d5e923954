/**
 * `address-in-use`, `address-unavailable` (not an address of this machine), `permission` (a port
 * that only root may open), `listen` (anything else).
 */
export type AdminErrorCode = 'address-in-use' | 'address-unavailable' | 'permission' | 'listen';

/** The world's fault: the endpoint could not be opened. */
export class AdminError extends Error {
  readonly code: AdminErrorCode;

  constructor(code: AdminErrorCode, message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'AdminError';
    this.code = code;
  }
}

const SYSTEM_CODES: Readonly<Record<string, { code: AdminErrorCode; says: string }>> = {
  EADDRINUSE: { code: 'address-in-use', says: 'another process listens there' },
  EADDRNOTAVAIL: { code: 'address-unavailable', says: 'this machine has no such address' },
  EACCES: { code: 'permission', says: 'this user may not open the port' },
};

export function listenError(address: string, port: number, cause: unknown): AdminError {
  const system = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const known = SYSTEM_CODES[system];
  const says = known?.says ?? (system || 'the system refused');
  return new AdminError(
    known?.code ?? 'listen',
    `the admin endpoint ${address}:${port} could not be opened: ${says}`,
    cause,
  );
}
