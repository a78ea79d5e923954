/**
 * The cluster key's file: a line that says what it is and in which version, then 32 random bytes in
 * base64. Never a passphrase: whoever records the group's traffic may try them all.
 */
const HEADER = 'argyle cluster key 1';
export const CLUSTER_KEY_BYTES = 32;
/** 32 random bytes have about 30 distinct values; fewer than this is not chance. */
const DISTINCT_MIN = 16;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

export function encodeClusterKey(key: Uint8Array): string {
  return `${HEADER}\n${Buffer.from(key).toString('base64')}\n`;
}

/** The key, or what was found instead, without quoting it. */
export function decodeClusterKey(
  text: string,
): { readonly key: Uint8Array } | { readonly found: string } {
  const [header, body, ...more] = text.trimEnd().split(/\r?\n/);
  if (header !== HEADER) return { found: `no first line "${HEADER}"` };
  if (body === undefined) return { found: 'no key after the first line' };
  if (more.length > 0) return { found: 'more than one line after the first' };
  if (!BASE64.test(body)) return { found: 'a second line that is not base64' };
  return decodeKey(body);
}

/** A key in base64, or what was found instead, without quoting it. */
export function decodeKey(
  base64: string,
): { readonly key: Uint8Array } | { readonly found: string } {
  if (!BASE64.test(base64)) return { found: 'no key in base64' };
  const key = Buffer.from(base64, 'base64');
  if (key.length !== CLUSTER_KEY_BYTES) return { found: `a key of ${key.length} bytes` };
  if (isPassphrase(key)) return { found: 'a key that is a passphrase, not random bytes' };
  return { key };
}

function isPassphrase(key: Uint8Array): boolean {
  return key.every((byte) => byte >= 0x20 && byte < 0x7f) || new Set(key).size < DISTINCT_MIN;
}
