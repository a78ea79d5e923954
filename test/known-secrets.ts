import { createPrivateKey, hkdfSync } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { SystemHost } from '@argyle/host/system';
import { Keyring } from '@argyle/multicast';
import { LocalReplica } from '@argyle/replica';
import { type RealCluster, run, until } from './real-cluster.ts';
import type { SecretSearch } from './secret-search.ts';

/** Of packages/node: by session id, a record with the session's DER in it. */
const SESSION_TABLE = 1;
/** By association id (secure-udp's PROTOCOL.md, "Association record"). */
const ASSOCIATION_TABLE = 5;
const ASSOCIATION_SECRET = { from: 3, to: 35 } as const;
/** `SSL_SESSION` in OpenSSL's ssl/ssl_asn1.c: version 1, TLS 1.2 or 1.3, a cipher of two bytes. */
const SESSION_START = /\x02\x01\x01\x02\x02\x03[\x03\x04]\x04\x02../s;
const SPY_INDEX = 9;
const READY_MS = 15_000;
const LOOK_MS = 100;

export function clusterKey(cluster: RealCluster): Buffer {
  return Buffer.from(cluster.read('cluster.key').trim().split('\n').at(-1) ?? '', 'base64');
}

/** What lies in the home's files: keys, the password, its hash. */
export function addHomeSecrets(search: SecretSearch, cluster: RealCluster): void {
  const key = clusterKey(cluster);
  const { linkKeys, digestKey } = new Keyring(key);
  search.add('the cluster key', key);
  for (const { key: linkKey } of linkKeys) search.add('the link key', Buffer.from(linkKey));
  search.add('the digest key', digestKey);
  search.add('the password', Buffer.from(passwordOf(cluster)));
  for (const [, salt = '', hash = ''] of cluster
    .read('users.yaml')
    .matchAll(/scrypt\$\d+\$\d+\$\d+\$([\w-]+)\$([\w-]+)/g)) {
    search.add('a password’s salt', Buffer.from(salt, 'base64url'));
    search.add('a password’s hash', Buffer.from(hash, 'base64url'));
  }
  for (const name of readdirSync(cluster.home).filter((file) => file.endsWith('.key.pem'))) {
    const { d, p, q } = createPrivateKey(cluster.read(name)).export({ format: 'jwk' });
    for (const [part, value] of Object.entries({ d, p, q })) {
      if (value) search.add(`${part} of ${name}`, Buffer.from(value, 'base64url'));
    }
  }
}

export function passwordOf(cluster: RealCluster): string {
  return /password: (\S+)/.exec(cluster.read('client.yaml'))?.[1] ?? '';
}

/** The key of one incarnation's segments (packages/multicast/PROTOCOL.md, "Segment"). */
export function addIncarnation(search: SecretSearch, key: Buffer, incarnation: string): void {
  const info = Buffer.concat([Buffer.from('segment'), Buffer.from(incarnation, 'hex')]);
  search.add('a segment key', Buffer.from(hkdfSync('sha256', key, 'argyle group 1', info, 32)));
}

/** A session as `openssl sess_id` tells it: what resumes it, and the id that travels as ticket. */
export async function addOpensslSession(search: SecretSearch, file: string): Promise<number> {
  const { output } = await run('openssl', ['sess_id', '-in', file, '-noout', '-text']);
  let found = 0;
  for (const [, label = '', value = ''] of output.matchAll(
    /(Session-ID|Master-Key|Resumption PSK): ([0-9A-F]{32,})/g,
  )) {
    search.add(`openssl’s ${label}`, Buffer.from(value, 'hex'));
    found += 1;
  }
  const ticket = [...output.matchAll(/^ +[0-9a-f]{4} - ((?:[0-9a-f]{2}[ -]){1,16})/gm)];
  const bytes = ticket.map(([, line = '']) => line.replaceAll(/[^0-9a-f]/g, '')).join('');
  if (bytes.length >= 32) search.add('openssl’s ticket', Buffer.from(bytes, 'hex'));
  return found;
}

/**
 * A member that holds what all hold, and tells the secrets of sessions, the client's own among
 * them, and of associations.
 */
export class Spy {
  readonly #replica: LocalReplica;
  readonly #search: SecretSearch;
  readonly #timer: NodeJS.Timeout;
  /** Session ids, which stand for the sessions in tickets, as hexadecimal. */
  readonly ids = new Set<string>();
  /** Secrets by the association's id, as hexadecimal. */
  readonly associations = new Map<string, Buffer>();

  static async join(search: SecretSearch, cluster: RealCluster): Promise<Spy> {
    const port = cluster.base + 2_000;
    const log = () => undefined;
    const replica = new LocalReplica({
      host: new SystemHost(),
      log: { debug: log, info: log, warn: log, error: log },
      name: 'spy',
      group: {
        clusterKey: clusterKey(cluster),
        address: { address: '239.192.0.1', port },
        interfaceAddress: '127.0.0.1',
        ownPort: port + SPY_INDEX,
        multicastTtl: 1,
        segmentBytes: 1_400,
        transport: 'auto',
        mdns: false,
        members: [1, 2, 3].map((index) => ({ address: '127.0.0.1', port: port + index })),
      },
      cache: { capacityBytes: 64 * 1024 * 1024 },
      stateChanged: log,
      failed: (error) => {
        throw error;
      },
    });
    await replica.start();
    await until('the spy is ready', READY_MS, () => replica.ready);
    return new Spy(replica, search);
  }

  constructor(replica: LocalReplica, search: SecretSearch) {
    this.#replica = replica;
    this.#search = search;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer);
    this.#look();
    await this.#replica.close();
  }

  #look(): void {
    for (const { key, value } of this.#replica.list(SESSION_TABLE, 10_000)) {
      const id = Buffer.from(key).toString('hex');
      if (this.ids.has(id)) continue;
      this.ids.add(id);
      this.#search.add('a session id', key);
      this.#search.add('a session’s master secret', masterSecretOf(value));
    }
    for (const { key, value } of this.#replica.list(ASSOCIATION_TABLE, 10_000)) {
      const id = Buffer.from(key).toString('hex');
      if (this.associations.has(id)) continue;
      const { from, to } = ASSOCIATION_SECRET;
      const secret = Buffer.from(value.subarray(from, to));
      this.associations.set(id, secret);
      this.#search.add('an association’s secret', secret);
    }
  }
}

/** After the cipher: the session id and the master secret (in TLS 1.3 the resumption PSK). */
function masterSecretOf(record: Uint8Array): Buffer {
  const bytes = Buffer.from(record);
  const start = SESSION_START.exec(bytes.toString('latin1'));
  if (!start) throw new Error('a session record without a session');
  const idAt = start.index + start[0].length;
  const masterAt = idAt + 2 + (bytes[idAt + 1] ?? 0);
  const sizeBytes = bytes[masterAt + 1] ?? 0;
  if (bytes[masterAt] !== 0x04 || sizeBytes < 32) throw new Error('a session without a secret');
  return bytes.subarray(masterAt + 2, masterAt + 2 + sizeBytes);
}
