import { X509Certificate } from 'node:crypto';
import { certificateDates } from './certificate-dates.ts';

/** What a serialised OpenSSL session says of itself (`SSL_SESSION` in `ssl/ssl_asn1.c`). */
export interface SessionFacts {
  readonly protocol: 'TLSv1.2' | 'TLSv1.3';
  /** The client's, DER. */
  readonly peerCertificate: Uint8Array | undefined;
}

const TAG_SEQUENCE = 0x30;
const TAG_INTEGER = 0x02;
const TAG_PEER = 0xa3;
const PROTOCOLS = new Map<number, SessionFacts['protocol']>([
  [0x0303, 'TLSv1.2'],
  [0x0304, 'TLSv1.3'],
]);

/** Undefined for what is no session of these two versions. */
export function readSessionDer(der: Uint8Array): SessionFacts | undefined {
  const [sequence] = elements(der);
  if (sequence?.tag !== TAG_SEQUENCE) return undefined;
  const [structure, version, ...fields] = elements(sequence.content);
  if (structure?.tag !== TAG_INTEGER || version?.tag !== TAG_INTEGER) return undefined;
  const number = version.content.reduce((value, byte) => value * 256 + byte, 0);
  const protocol = PROTOCOLS.get(number);
  if (!protocol) return undefined;
  return { protocol, peerCertificate: fields.find(({ tag }) => tag === TAG_PEER)?.content };
}

/**
 * Its end in wall milliseconds, and 0 when it has none that can be read: strangers choose what
 * their certificates say.
 */
export function certificateEnd(der: Uint8Array): number {
  const certificate = readCertificate(der);
  return Math.max(0, (certificate && certificateDates(certificate).to) ?? 0);
}

/** One line, such as `CN=laptop, O=Argyle`; undefined for a certificate that names nobody. */
export function certificateSubject(der: Uint8Array): string | undefined {
  const subject: string | undefined = readCertificate(der)?.subject;
  return subject?.split('\n').join(', ');
}

function readCertificate(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

/** X.690 §8.1, definite lengths of at most four bytes; stops at what it cannot read. */
function elements(bytes: Uint8Array): readonly Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0;
    at += 2;
    if (length > 0x84) break;
    if (length >= 0x80) {
      const end = at + (length - 0x80);
      length = bytes.subarray(at, end).reduce((value, byte) => value * 256 + byte, 0);
      at = end;
    }
    if (at + length > bytes.length) break;
    found.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}
