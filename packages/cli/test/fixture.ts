import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { SystemHost } from '@argyle/host/system';
import { CertificateAuthority } from '../src/certificate-authority.ts';
import { loadClientConfig } from '../src/config/client-config.ts';
import { encodeClusterKey } from '../src/config/cluster-key.ts';
import { loadNodeConfig } from '../src/config/node-config.ts';
import { ConfigError } from '../src/config/problem.ts';

const YEAR_MS = 365 * 86_400_000;
const SERVER_NAME = 'argyle.cluster';
const SALT = Buffer.alloc(16, 1).toString('base64url');
const HASH = Buffer.alloc(32, 2).toString('base64url');

/** Of no password at all; well formed. */
export const PASSWORD_HASH = `scrypt$32768$8$1$${SALT}$${HASH}`;

export const NODE_YAML = `\
name: node-1
listen: 127.0.0.1:23001
admin: 127.0.0.1:23002
tls:
  certificate: node.pem
  key: node.key.pem
  ca: ca.pem
group:
  clusterKey: cluster.key
  interface: 127.0.0.1
authentication:
  users: users.yaml
`;

export const CLIENT_YAML = `\
nodes: [127.0.0.1:23001]
ca: ca.pem
user:
  name: demo
  password: the-password-of-demo
certificate:
  certificate: alice.pem
  key: alice.key.pem
`;

/** A host whose wall clock is wrong by some years. */
class ShiftedHost extends SystemHost {
  readonly #years: number;

  constructor(years: number) {
    super();
    this.#years = years;
  }

  override wallOffset(): number {
    return super.wallOffset() + this.#years * YEAR_MS;
  }
}

const materials = makeMaterials();

async function makeMaterials(): Promise<ReadonlyMap<string, string>> {
  const host = new SystemHost();
  const authority = await CertificateAuthority.create(host);
  const old = new CertificateAuthority(new ShiftedHost(-3), authority.pem);
  const early = new CertificateAuthority(new ShiftedHost(3), authority.pem);
  const node = { name: 'node-1', kind: 'node', serverName: SERVER_NAME } as const;
  const pairs = {
    node: await authority.issue(node),
    alice: await authority.issue({ ...node, name: 'alice', kind: 'client' }),
    other: await authority.issue({ ...node, serverName: 'other.cluster' }),
    expired: await old.issue(node),
    early: await early.issue(node),
    ca: authority.pem,
    'old-ca': (await CertificateAuthority.create(new ShiftedHost(-11))).pem,
  };
  const files = new Map([
    ['cluster.key', encodeClusterKey(host.random(32))],
    ['users.yaml', `demo:\n  password: ${PASSWORD_HASH}\n`],
    ['node-1.yaml', NODE_YAML],
    ['client.yaml', CLIENT_YAML],
  ]);
  for (const [name, pair] of Object.entries(pairs)) {
    files.set(`${name}.pem`, pair.certificate);
    files.set(`${name}.key.pem`, pair.key);
  }
  return files;
}

export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'argyle-cli-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

/** A folder that holds a right configuration of each kind and everything that they name. */
export async function rightFolder(t: Test): Promise<string> {
  const path = folder(t);
  for (const [name, text] of await materials) {
    writeFileSync(join(path, name), text, { mode: 0o600 });
    chmodSync(join(path, name), 0o600);
  }
  return path;
}

/** Replaces a text that is there exactly once. */
export function alter(file: string, before: string, after: string): void {
  const text = readFileSync(file, 'utf8');
  if (text.split(before).length !== 2) throw new Error(`${file} has not one ${before}`);
  writeFileSync(file, text.replace(before, after));
}

export function wallMs(): number {
  const host = new SystemHost();
  return host.now() + host.wallOffset();
}

/** What loading a folder's configuration says is wrong, without the folder before each path. */
export function problems(folder: string, kind: 'node' | 'client'): string {
  const file = join(folder, kind === 'node' ? 'node-1.yaml' : 'client.yaml');
  try {
    if (kind === 'node') loadNodeConfig(file, wallMs());
    else loadClientConfig(file, wallMs());
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(`${folder}/`, '');
    throw error;
  }
  return 'nothing is wrong';
}
