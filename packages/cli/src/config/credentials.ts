import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { certificateDates } from '@argyle/node';

/** A thing, or what was found instead of it, without quoting a secret. */
export type Checked<Thing> = Thing | { readonly found: string };

const RSA_BITS_MIN = 2_048;
const DAY_MS = 86_400_000;
/** A certificate that ends sooner is worth a warning at each start. */
const EXPIRY_WARNING_DAYS = 30;

/** Every certificate of a PEM file, in its order; at least one. */
export function readCertificates(pem: string): Checked<readonly X509Certificate[]> {
  const blocks = pemBlocks(pem, 'CERTIFICATE');
  if (blocks.length === 0) return { found: 'a file without a PEM certificate' };
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return { found: 'a damaged certificate' };
  }
}

export function readPrivateKey(pem: string): Checked<KeyObject> {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem))
    return { found: 'a key that is encrypted with a passphrase' };
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem))
    return { found: 'a file without a PEM private key' };
  try {
    return createPrivateKey(pem);
  } catch {
    return { found: 'a damaged private key' };
  }
}

/** Revocation lists of a PEM file. OpenSSL reads what is inside. */
export function readCrls(pem: string): Checked<readonly string[]> {
  const blocks = pemBlocks(pem, 'X509 CRL');
  return blocks.length === 0 ? { found: 'a file without a PEM revocation list' } : blocks;
}

/** Why a certificate cannot be used today, if it cannot. */
export function outOfDate(certificate: X509Certificate, nowMs: number): string | undefined {
  const { from, to } = certificateDates(certificate);
  if (from === undefined || to === undefined) return 'a certificate whose dates cannot be read';
  if (nowMs >= to) return `a certificate that expired on ${new Date(to).toISOString()}`;
  if (nowMs >= from) return undefined;
  return `a certificate that is not valid before ${new Date(from).toISOString()}`;
}

/** A sentence to warn with when a certificate ends soon; none for one without an end. */
export function endsSoon(certificate: X509Certificate, nowMs: number): string | undefined {
  const { to } = certificateDates(certificate);
  if (to === undefined) return undefined;
  const days = Math.floor((to - nowMs) / DAY_MS);
  return days < EXPIRY_WARNING_DAYS ? `expires in ${days} days` : undefined;
}

export function isWeak(certificate: X509Certificate): string | undefined {
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  const bits = asymmetricKeyDetails?.modulusLength ?? 0;
  if (asymmetricKeyType !== 'rsa' || bits >= RSA_BITS_MIN) return undefined;
  return `an RSA key of ${bits} bits`;
}

/** Only subject alternative names count (RFC 9525 §6.3); a common name does not. */
export function carriesName(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name, { subject: 'never' }) !== undefined;
}

function pemBlocks(pem: string, label: string): readonly string[] {
  const block = new RegExp(`-----BEGIN ${label}-----[^-]*-----END ${label}-----`, 'g');
  return pem.match(block) ?? [];
}
