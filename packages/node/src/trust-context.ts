import { createHash } from 'node:crypto';
import { NodeError } from './node-error.ts';
import type { TlsOptions } from './options.ts';
import { TRUST_BYTES } from './session-record.ts';

/**
 * What a session was made under: who may sign client certificates and which are revoked, whether
 * one was asked for, and the server name. A library resumes across all of them and never looks at
 * the certificate again (FACTS 2), so a session carries this and is offered only where it is equal.
 */
export class TrustContext {
  readonly #policy: Buffer;
  readonly #serverName: string;
  /** That of the cluster's own name, which almost every client asks for. */
  readonly #own: Uint8Array;

  constructor(tls: Pick<TlsOptions, 'ca' | 'crls' | 'clientCertificate' | 'serverName'>) {
    const hash = createHash('sha256').update('argyle trust 1\n');
    // Sets: the order in which an operator lists them means nothing.
    for (const digest of digests(tls.ca, 'CERTIFICATE')) hash.update(`ca ${digest}\n`);
    const lists = new Set(tls.crls.flatMap((pem) => digests(pem, 'X509 CRL')));
    for (const digest of [...lists].sort()) hash.update(`crl ${digest}\n`);
    hash.update(`client certificate ${tls.clientCertificate}\n`);
    this.#policy = hash.digest();
    this.#serverName = normalised(tls.serverName);
    this.#own = this.#hash(this.#serverName);
  }

  /** 16 bytes. A ClientHello without a server name means the cluster's. */
  of(serverName: string | undefined): Uint8Array {
    const name = serverName === undefined ? this.#serverName : normalised(serverName);
    return name === this.#serverName ? this.#own : this.#hash(name);
  }

  #hash(name: string): Uint8Array {
    const hash = createHash('sha256').update(this.#policy).update(name);
    return hash.digest().subarray(0, TRUST_BYTES);
  }
}

function normalised(serverName: string): string {
  return serverName.toLowerCase().replace(/\.$/, '');
}

/** Of each block in a PEM text, sorted and each once. */
function digests(pem: string, label: 'CERTIFICATE' | 'X509 CRL'): readonly string[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----([^-]+)-----END ${label}-----`, 'g');
  const blocks = [...pem.matchAll(pattern)].map(([, base64 = '']) => Buffer.from(base64, 'base64'));
  if (blocks.length === 0) throw new NodeError('bad-tls', `tls: wanted PEM with a ${label} block`);
  const unique = new Set(blocks.map((der) => createHash('sha256').update(der).digest('hex')));
  return [...unique].sort();
}
