import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';

/** PEM files. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

/** What a node's front tells TLS; how sessions are resumed is not in it. */
export function frontOptions({ certificate, key, ca }: CertificateFiles): TlsOptions {
  return {
    cert: readFileSync(certificate),
    key: readFileSync(key),
    ca: readFileSync(ca),
    ALPNProtocols: ['argyle/1'],
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    ecdhCurve: 'X25519MLKEM768:X25519:prime256v1:secp384r1',
  };
}
