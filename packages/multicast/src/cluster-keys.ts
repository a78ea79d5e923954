import { hkdfSync } from 'node:crypto';
import { CLUSTER_ID_BYTES, KEY_ID_BYTES } from './segment.ts';

/**
 * What makes members one cluster. Keys come and go; who is to hear whom, and to compare digests,
 * must share the identity for as long as the cluster lives.
 */
export interface ClusterKeys {
  /** 8 bytes, told in clear. */
  readonly clusterId: Uint8Array;
  /** 16 bytes: keyed hash of replicas' digests. */
  readonly digestKey: Uint8Array;
  /** 1 to 4 keys of 32 random bytes, drawn apart: the first seals, all open. */
  readonly keys: readonly Uint8Array[];
}

export const CLUSTER_KEY_BYTES = 32;
export const CLUSTER_KEYS_MAX = 4;
export const DIGEST_KEY_BYTES = 16;

/** HKDF-SHA-256 (RFC 5869) of a cluster key; every label is here and in PROTOCOL.md. */
const SALT = 'argyle group 1';
export const Label = {
  cluster: 'cluster id',
  key: 'key id',
  segment: 'segment',
  link: 'link',
  digest: 'digest',
} as const;

/** A ring of one key, from which the identity is derived too. */
export function soleKey(key: Uint8Array): ClusterKeys {
  return {
    clusterId: derive(key, Label.cluster, CLUSTER_ID_BYTES),
    digestKey: derive(key, Label.digest, DIGEST_KEY_BYTES),
    keys: [key],
  };
}

/** What a key is called where operators see it, in hexadecimal: it tells nothing of the key. */
export function keyId(key: Uint8Array): string {
  return derive(key, Label.key, KEY_ID_BYTES).toString('hex');
}

export function derive(key: Uint8Array, info: string | Uint8Array, sizeBytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', key, SALT, info, sizeBytes));
}
