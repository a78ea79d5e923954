import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';

/**
 * X.509 certificates (RFC 5280) for tests, written by hand in DER so that no tool is needed: a CA
 * and what it signs, P-256 with ECDSA, valid from 2020 to 2049.
 */
export interface Authority {
  /** PEM. */
  readonly certificate: string;
  issue(serverName: string): { readonly certificate: string; readonly key: string };
}

const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'));
const COMMON_NAME = oid('550403');
const BASIC_CONSTRAINTS = oid('551d13');
const SUBJECT_ALTERNATIVE_NAME = oid('551d11');
const VALIDITY = sequence(
  der(0x17, Buffer.from('200101000000Z')),
  der(0x17, Buffer.from('491231235959Z')),
);

export function createAuthority(name = 'test CA'): Authority {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const isCa = sequence(der(0x01, Buffer.from([0xff])));
  const sign = (subject: string, key: KeyObject, extension: Buffer) =>
    certificate(name, subject, key, extension, own.privateKey);
  let serial = 1;
  return {
    certificate: sign(name, own.publicKey, sequence(BASIC_CONSTRAINTS, octets(isCa))),
    issue: (serverName) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const names = sequence(der(0x82, Buffer.from(serverName)));
      serial += 1;
      return {
        certificate: sign(
          `${serverName} ${serial}`,
          publicKey,
          sequence(SUBJECT_ALTERNATIVE_NAME, octets(names)),
        ),
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      };
    },
  };
}

function certificate(
  issuer: string,
  subject: string,
  key: KeyObject,
  extension: Buffer,
  signer: KeyObject,
): string {
  const version3 = der(0xa0, der(0x02, Buffer.from([2])));
  const body = sequence(
    version3,
    der(0x02, Buffer.from(subject).subarray(-8)),
    ECDSA_WITH_SHA256,
    distinguishedName(issuer),
    VALIDITY,
    distinguishedName(subject),
    key.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extension)),
  );
  const signature = createSign('sha256').update(body).sign(signer);
  const bits = der(0x03, Buffer.concat([Buffer.from([0]), signature]));
  const base64 = sequence(body, ECDSA_WITH_SHA256, bits).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

function distinguishedName(commonName: string): Buffer {
  return sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(commonName)))));
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function octets(content: Buffer): Buffer {
  return der(0x04, content);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const header =
    length < 0x80 ? [tag, length] : [tag, 0x82, Math.floor(length / 0x100), length % 0x100];
  return Buffer.concat([Buffer.from(header), content]);
}
