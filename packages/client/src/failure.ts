import { ClientError } from './errors.ts';

/** What a socket's error means, and what to do about it. */
export function failureOf(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  const code = codeOf(error);
  const options = { cause: error };
  if (code === 'ECONNREFUSED') return new ClientError('refused', 'connection refused', options);
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return new ClientError('reset', 'connection reset', options);
  }
  if (code === 'ETIMEDOUT') return new ClientError('timeout', 'connection timed out', options);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new ClientError('unreachable', `its name does not resolve (${code})`, options);
  }
  if (/^ERR_SSL_.*ALERT.*(CERTIFICATE|UNKNOWN_CA)/.test(code)) {
    const message = `the node refuses this client's certificate (${code}): check \`certificate\``;
    return new ClientError('certificate', message, options);
  }
  if (code.startsWith('ERR_SSL_')) {
    return new ClientError('tls', `the TLS handshake failed (${code})`, options);
  }
  return new ClientError('unreachable', `no connection (${code})`, options);
}

/** The node's certificate was not accepted. */
export function certificateFailure(error: unknown, serverName: string): ClientError {
  const code = codeOf(error);
  const options = { cause: error };
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const message = `its certificate is not for ${serverName}: check \`serverName\` and \`nodes\``;
    return new ClientError('certificate', message, options);
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    const message = `its certificate is not valid now (${code}): check its dates and the clocks`;
    return new ClientError('certificate', message, options);
  }
  const message = `its certificate is not signed by the cluster's CA (${code}): check \`ca\``;
  return new ClientError('certificate', message, options);
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return 'no code';
}
