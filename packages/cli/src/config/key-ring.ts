/**
 * The ring's file once a key of it has been replaced: a line that says what it is and in which
 * version, the cluster's identity, and a line for each key, the one that seals first. Before that
 * it is a cluster key's file, a ring of one.
 */
import { statSync } from 'node:fs';
import { CLUSTER_KEYS_MAX, type ClusterKeys, DIGEST_KEY_BYTES, soleKey } from '@argyle/multicast';
import { decodeClusterKey, decodeKey } from './cluster-key.ts';
import { exposure, readText } from './files.ts';
import type { Findings } from './problem.ts';

const HEADER = 'argyle cluster keys 2';
const CLUSTER_ID = /^cluster ([0-9a-f]{16})$/;
const DIGEST = /^digest (\S+)$/;
const KEY = /^key (\S+) (\S+)$/;

export const KEY_WANTED = 'a cluster key of 32 random bytes, as `argyle init` writes it';

/** A ring that knows when its keys were made: wall time, one for each. */
export interface DatedRing extends ClusterKeys {
  readonly madeAtMs: readonly number[];
}

export function encodeKeyRing({ clusterId, digestKey, keys, madeAtMs }: DatedRing): string {
  const lines = keys.map((key, place) => {
    const made = new Date(madeAtMs[place] ?? 0).toISOString();
    return `key ${made} ${Buffer.from(key).toString('base64')}`;
  });
  const cluster = Buffer.from(clusterId).toString('hex');
  const digest = Buffer.from(digestKey).toString('base64');
  return [HEADER, `cluster ${cluster}`, `digest ${digest}`, ...lines, ''].join('\n');
}

/** The ring, or what was found instead, without quoting it. `fileMs`: when the file was written. */
export function decodeKeyRing(
  text: string,
  fileMs: number,
): { readonly ring: DatedRing } | { readonly found: string } {
  const [header, ...lines] = text.trimEnd().split(/\r?\n/);
  if (header !== HEADER) {
    const sole = decodeClusterKey(text);
    return 'key' in sole ? { ring: { ...soleKey(sole.key), madeAtMs: [fileMs] } } : sole;
  }
  const [, cluster] = CLUSTER_ID.exec(lines[0] ?? '') ?? [];
  if (cluster === undefined) return { found: 'a second line that names no cluster' };
  const [, digest] = DIGEST.exec(lines[1] ?? '') ?? [];
  const digestKey = Buffer.from(digest ?? '', 'base64');
  if (digestKey.length !== DIGEST_KEY_BYTES) return { found: 'a third line without a digest key' };
  const keys: Uint8Array[] = [];
  const madeAtMs: number[] = [];
  for (const line of lines.slice(2)) {
    const [, made = '', body = ''] = KEY.exec(line) ?? [];
    const decoded = decodeKey(body);
    if ('found' in decoded) return { found: `${decoded.found} in line ${keys.length + 4}` };
    if (Number.isNaN(Date.parse(made))) return { found: `no date in line ${keys.length + 4}` };
    keys.push(decoded.key);
    madeAtMs.push(Date.parse(made));
  }
  if (keys.length === 0 || keys.length > CLUSTER_KEYS_MAX) return { found: `${keys.length} keys` };
  if (new Set(keys.map(String)).size < keys.length) return { found: 'a key twice' };
  const clusterId = Buffer.from(cluster, 'hex');
  return { ring: { clusterId, digestKey, keys, madeAtMs } };
}

/** Of a file of its own, or what was found instead of it. Never throws. */
export function readKeyRing(
  file: string,
): { readonly ring: DatedRing } | { readonly found: string } {
  const read = readText(file);
  if ('found' in read) return read;
  return decodeKeyRing(read.text, statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0);
}

/** The ring of a file; undefined when anything is wrong, which is reported then. */
export function findKeyRing(file: string, findings: Findings): DatedRing | undefined {
  const read = readKeyRing(file);
  const exposed = exposure(file);
  if (exposed !== undefined) findings.warnings.push(exposed);
  if ('ring' in read) return read.ring;
  findings.problems.push({ file, line: undefined, key: '', found: read.found, wanted: KEY_WANTED });
  return undefined;
}
