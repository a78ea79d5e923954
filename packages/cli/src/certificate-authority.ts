import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';
import type { Host } from '@argyle/host';

/** Both PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

export interface Request {
  /** The common name; for people, and the user of a client certificate. */
  readonly name: string;
  readonly kind: 'node' | 'client';
  /** What a node's certificate is valid for. */
  readonly serverName: string;
}

const RSA_BITS = 2_048;
const SERIAL_BYTES = 16;
const DAY_MS = 86_400_000;
const CA_DAYS = 3_650;
/** The longest that Apple's clients accept of a certificate under a private authority. */
const LEAF_DAYS = 825;
/** Clocks of other machines may be behind. */
const BACKDATED_MS = 3_600_000;

type Extension = { readonly name: string; readonly [key: string]: unknown };

/** The cluster's own certificate authority. node-forge signs; Node makes the keys. */
export class CertificateAuthority {
  readonly #host: Host;
  readonly #pem: Issued;
  readonly #certificate: forge.pki.Certificate;
  readonly #key: forge.pki.rsa.PrivateKey;

  /** Throws what the parsers throw when the pair is damaged. */
  constructor(host: Host, pem: Issued) {
    this.#host = host;
    this.#pem = pem;
    this.#certificate = forge.pki.certificateFromPem(pem.certificate);
    this.#key = forge.pki.privateKeyFromPem(pem.key);
  }

  static async create(host: Host): Promise<CertificateAuthority> {
    const keys = await keyPair();
    const id = Buffer.from(host.random(4)).toString('hex');
    const certificate = blank(host, { publicKey: keys.public, days: CA_DAYS });
    const subject = [{ name: 'commonName', value: `Argyle cluster ${id}` }];
    certificate.setSubject(subject);
    certificate.setIssuer(subject);
    certificate.setExtensions([
      { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      { name: 'subjectKeyIdentifier' },
    ]);
    certificate.sign(forge.pki.privateKeyFromPem(keys.private), forge.md.sha256.create());
    const pem = { certificate: forge.pki.certificateToPem(certificate), key: keys.private };
    return new CertificateAuthority(host, pem);
  }

  get pem(): Issued {
    return this.#pem;
  }

  async issue(request: Request): Promise<Issued> {
    const keys = await keyPair();
    const certificate = blank(this.#host, { publicKey: keys.public, days: LEAF_DAYS });
    certificate.setSubject([{ name: 'commonName', value: request.name }]);
    certificate.setIssuer(this.#certificate.subject.attributes);
    certificate.setExtensions([
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
      { name: 'subjectKeyIdentifier' },
      { name: 'authorityKeyIdentifier', keyIdentifier: this.#keyIdentifier() },
      ...purpose(request),
    ]);
    certificate.sign(this.#key, forge.md.sha256.create());
    return { certificate: forge.pki.certificateToPem(certificate), key: keys.private };
  }

  #keyIdentifier(): string {
    return this.#certificate.generateSubjectKeyIdentifier().getBytes();
  }
}

function purpose({ kind, name, serverName }: Request): readonly Extension[] {
  if (kind === 'client') return [{ name: 'extKeyUsage', clientAuth: true }];
  const DNS = 2;
  const altNames = [...new Set([serverName, name])].map((value) => ({ type: DNS, value }));
  return [
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames },
  ];
}

function blank(host: Host, options: { publicKey: string; days: number }): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  const wallMs = host.now() + host.wallOffset();
  certificate.publicKey = forge.pki.publicKeyFromPem(options.publicKey);
  certificate.serialNumber = serialNumber(host);
  certificate.validity.notBefore = new Date(wallMs - BACKDATED_MS);
  certificate.validity.notAfter = new Date(wallMs + options.days * DAY_MS);
  return certificate;
}

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes; the first bit stays clear, the second is set. */
function serialNumber(host: Host): string {
  const bytes = Buffer.from(host.random(SERIAL_BYTES));
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString('hex');
}

async function keyPair(): Promise<{ readonly public: string; readonly private: string }> {
  const pair = await promisify(generateKeyPair)('rsa', {
    modulusLength: RSA_BITS,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { public: pair.publicKey, private: pair.privateKey };
}
